package store

// VerifyIn is Verify within a transaction.
var VerifyIn = verifyIn
