// Package sql holds every table and query of Backlot, one text for SQLite and
// PostgreSQL, and embeds the migrations.
//
//	schema/<service>   goose migrations; kit's are 00001-00099, a service's
//	                   start at 00100; *_postgresql.sql are not for SQLite,
//	                   those in sqlite/ are for nothing else
//	queries/<service>  queries, from which sqlc makes gen/<service>
//
// It opens no database: kit/database applies the migrations.
package sql

import (
	"cmp"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"slices"
)

//go:embed schema
var schema embed.FS

// Migrations returns the goose migrations of a service in one folder: kit's
// (outbox, inbox, tcc_barrier) and its own, of which there may be none.
// Migrations("kit") are kit's alone. Those whose names end with _sqlite.sql or
// _postgresql.sql are of one engine.
func Migrations(service string) fs.FS {
	folders := union{folder("kit")}
	if service != "kit" {
		folders = append(folders, folder(service+"/sqlite"), folder(service))
	}
	return folders
}

func folder(service string) fs.FS {
	sub, err := fs.Sub(schema, "schema/"+service)
	if err != nil {
		panic(fmt.Sprintf("sql: %q is no name of a service", service))
	}
	return sub
}

// union shows the files of several folders as one folder. Names do not repeat among them.
type union []fs.FS

// Open opens a file of any of the folders, or the first folder itself.
func (u union) Open(name string) (fs.File, error) {
	for _, folder := range u[:len(u)-1] {
		if file, err := folder.Open(name); err == nil {
			return file, nil
		}
	}
	return u[len(u)-1].Open(name)
}

// ReadDir lists the files of all folders by name; a folder that does not
// exist has none.
func (u union) ReadDir(name string) ([]fs.DirEntry, error) {
	var all []fs.DirEntry
	for _, folder := range u {
		entries, err := fs.ReadDir(folder, name)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		all = append(all, slices.DeleteFunc(entries, fs.DirEntry.IsDir)...)
	}
	slices.SortFunc(all, func(a, b fs.DirEntry) int { return cmp.Compare(a.Name(), b.Name()) })
	return all, nil
}
