module github.com/backlot-video/backlot/services/transcoder

go 1.26.0

require (
	github.com/backlot-video/backlot/kit v0.0.0
	github.com/backlot-video/backlot/proto v0.0.0
	github.com/backlot-video/backlot/sql v0.0.0
)

require (
	github.com/Eyevinn/mp4ff v0.56.0 // indirect
	github.com/google/uuid v1.6.0 // indirect
	github.com/tus/tusd/v2 v2.8.0 // indirect
	gocloud.dev v0.47.0 // indirect
	golang.org/x/sync v0.24.0 // indirect
	golang.org/x/sys v0.49.0 // indirect
)

replace (
	github.com/backlot-video/backlot/kit => ../../kit
	github.com/backlot-video/backlot/proto => ../../proto
	github.com/backlot-video/backlot/sql => ../../sql
)
