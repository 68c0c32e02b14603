// Package journey runs the whole product from outside: the main job on one
// process and on one process per service, under kills, with bad input, and
// what an operator sees of it.
//
// Environment: BACKLOT_SEED replays random kills, BACKLOT_KILLS says how many,
// BACKLOT_E2E_{RACE,CRASH,PLAIN}_FLAGS are the flags of the builds,
// BACKLOT_E2E_BIN is a folder of plain binaries built before.
package journey
