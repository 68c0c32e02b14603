module github.com/backlot-video/backlot/services/storefront

go 1.26.0

require (
	github.com/backlot-video/backlot/kit v0.0.0
	github.com/backlot-video/backlot/proto v0.0.0
	github.com/backlot-video/backlot/sql v0.0.0
)

require (
	github.com/google/uuid v1.6.0 // indirect
	golang.org/x/crypto v0.58.0 // indirect
)

replace (
	github.com/backlot-video/backlot/kit => ../../kit
	github.com/backlot-video/backlot/proto => ../../proto
	github.com/backlot-video/backlot/sql => ../../sql
)
