package h2

// Call is one request to an upstream.
type Call struct{ stream }
