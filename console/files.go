package console

import "embed"

// Files are the console's, index.html at the root.
//
//go:embed index.html
var Files embed.FS
