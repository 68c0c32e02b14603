// Package sql holds every table and query of Backlot, one text for SQLite and
// PostgreSQL, and embeds the migrations.
package sql
