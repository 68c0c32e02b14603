module github.com/backlot-video/backlot/tools

go 1.26.0
