package runner

import (
	"github.com/backlot-video/backlot/kit/crashpoint"
	"github.com/backlot-video/backlot/services/coordinator/internal/tcc"
)

// Where tests kill the process: before and after every durable write and
// every phase call.
var (
	beforeTakeOver    = crashpoint.New("coordinator/take-over/before")
	afterTakeOver     = crashpoint.New("coordinator/take-over/after")
	beforeTryLog      = crashpoint.New("coordinator/try-log/before")
	afterTryLog       = crashpoint.New("coordinator/try-log/after")
	beforeAgainLog    = crashpoint.New("coordinator/again-log/before")
	afterAgainLog     = crashpoint.New("coordinator/again-log/after")
	beforeConfirmLog  = crashpoint.New("coordinator/confirm-log/before")
	afterConfirmLog   = crashpoint.New("coordinator/confirm-log/after")
	beforeCancelLog   = crashpoint.New("coordinator/cancel-log/before")
	afterCancelLog    = crashpoint.New("coordinator/cancel-log/after")
	beforeEndLog      = crashpoint.New("coordinator/end-log/before")
	afterEndLog       = crashpoint.New("coordinator/end-log/after")
	beforeParkLog     = crashpoint.New("coordinator/park-log/before")
	afterParkLog      = crashpoint.New("coordinator/park-log/after")
	beforeReopenLog   = crashpoint.New("coordinator/reopen-log/before")
	afterReopenLog    = crashpoint.New("coordinator/reopen-log/after")
	beforeTryCall     = crashpoint.New("coordinator/try-call/before")
	afterTryCall      = crashpoint.New("coordinator/try-call/after")
	beforeConfirmCall = crashpoint.New("coordinator/confirm-call/before")
	afterConfirmCall  = crashpoint.New("coordinator/confirm-call/after")
	beforeCancelCall  = crashpoint.New("coordinator/cancel-call/before")
	afterCancelCall   = crashpoint.New("coordinator/cancel-call/after")
)

// crashBeforeLog is hit before an append that moves a transaction from one
// state to another.
func crashBeforeLog(from, to tcc.State) {
	switch {
	case from == to:
		beforeAgainLog.Hit()
	case to.Ended():
		beforeEndLog.Hit()
	case to == tcc.Parked:
		beforeParkLog.Hit()
	case to == tcc.Confirming:
		beforeConfirmLog.Hit()
	case to == tcc.Cancelling:
		beforeCancelLog.Hit()
	}
}

// crashAfterLog is hit after such an append.
func crashAfterLog(from, to tcc.State) {
	switch {
	case from == to:
		afterAgainLog.Hit()
	case to.Ended():
		afterEndLog.Hit()
	case to == tcc.Parked:
		afterParkLog.Hit()
	case to == tcc.Confirming:
		afterConfirmLog.Hit()
	case to == tcc.Cancelling:
		afterCancelLog.Hit()
	}
}

func crashBeforeCall(phase tcc.Phase) {
	switch phase {
	case tcc.Try:
		beforeTryCall.Hit()
	case tcc.Confirm:
		beforeConfirmCall.Hit()
	case tcc.Cancel:
		beforeCancelCall.Hit()
	}
}

func crashAfterCall(phase tcc.Phase) {
	switch phase {
	case tcc.Try:
		afterTryCall.Hit()
	case tcc.Confirm:
		afterConfirmCall.Hit()
	case tcc.Cancel:
		afterCancelCall.Hit()
	}
}
