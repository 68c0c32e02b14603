module github.com/backlot-video/backlot/console

go 1.26.0
