module github.com/backlot-video/backlot/sql

go 1.26.0
