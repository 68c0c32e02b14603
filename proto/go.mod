module github.com/backlot-video/backlot/proto

go 1.26.0
