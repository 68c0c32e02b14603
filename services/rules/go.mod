module github.com/backlot-video/backlot/services/rules

go 1.26.0

require (
	github.com/backlot-video/backlot/kit v0.0.0
	github.com/backlot-video/backlot/proto v0.0.0
	github.com/backlot-video/backlot/sql v0.0.0
)

require google.golang.org/protobuf v1.36.12 // indirect

replace (
	github.com/backlot-video/backlot/kit => ../../kit
	github.com/backlot-video/backlot/proto => ../../proto
	github.com/backlot-video/backlot/sql => ../../sql
)
