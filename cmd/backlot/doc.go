// Command backlot is every service of Backlot in one binary.
package main
