package store

import "github.com/backlot-video/backlot/kit/crashpoint"

// Where a test may kill the process: around the durable writes of a running
// installation.
var (
	beforeApply    = crashpoint.New("configstore/apply/before")
	afterApply     = crashpoint.New("configstore/apply/after")
	beforeKind     = crashpoint.New("configstore/register-kind/before")
	afterKind      = crashpoint.New("configstore/register-kind/after")
	beforeRegister = crashpoint.New("configstore/register/before")
	afterRegister  = crashpoint.New("configstore/register/after")
)
