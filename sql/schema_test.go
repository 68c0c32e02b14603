package sql

import (
	"io/fs"
	"strconv"
	"strings"
	"testing"
)

func TestMigrationsAreNumberedByOwner(t *testing.T) {
	services, err := fs.ReadDir(schema, "schema")
	if err != nil {
		t.Fatal(err)
	}
	for _, service := range services {
		names, err := fs.Glob(Migrations(service.Name()), "*.sql")
		if err != nil {
			t.Fatal(err)
		}
		seen := make(map[int]string)
		own := 0
		for _, name := range names {
			number, err := strconv.Atoi(strings.SplitN(name, "_", 2)[0])
			if err != nil {
				t.Errorf("%s/%s: no number before the first underscore", service.Name(), name)
				continue
			}
			if other, twice := seen[number]; twice {
				t.Errorf("%s: %s and %s have one number", service.Name(), other, name)
			}
			seen[number] = name
			if _, err := fs.Stat(folder(service.Name()), name); err == nil {
				own++
				if isKit := service.Name() == "kit"; isKit != (number < 100) {
					t.Errorf("%s/%s: kit's migrations are below 100, others' are not", service.Name(), name)
				}
			}
			if text, err := fs.ReadFile(Migrations(service.Name()), name); err != nil || !strings.Contains(string(text), "-- +goose Up") {
				t.Errorf("%s/%s: not a goose migration (%v)", service.Name(), name, err)
			}
		}
		if own == 0 {
			t.Errorf("%s: no migration in schema/%s", service.Name(), service.Name())
		}
	}
}

func TestMigrationsOfServiceWithoutTablesAreKits(t *testing.T) {
	kit, err := fs.Glob(Migrations("kit"), "*")
	if err != nil {
		t.Fatal(err)
	}
	none, err := fs.Glob(Migrations("nosuch"), "*")
	if err != nil {
		t.Fatal(err)
	}
	if len(kit) == 0 || strings.Join(kit, " ") != strings.Join(none, " ") {
		t.Errorf("kit has %v, a service without tables %v", kit, none)
	}
}
