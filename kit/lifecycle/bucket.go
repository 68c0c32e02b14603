package lifecycle

import (
	"context"
	"net/url"
	"os"
	"path/filepath"

	"gocloud.dev/blob"
	"gocloud.dev/blob/fileblob"
)

// openBucket opens a part of the installation's blob storage.
func (p *process) openBucket(ctx context.Context, name string) (*blob.Bucket, error) {
	if dir, local := p.bucketDir(name); local {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, err
		}
		// Metadata files would double the number of files; content types
		// follow from names. Temporary files lie beside their target, so that
		// renaming stays within one file system.
		return fileblob.OpenBucket(dir, &fileblob.Options{Metadata: fileblob.MetadataDontWrite, NoTempDir: true})
	}
	bucket, err := blob.OpenBucket(ctx, p.settings.blobURL)
	if err != nil {
		return nil, err
	}
	return blob.PrefixedBucket(bucket, name+"/"), nil
}

// bucketDir is the folder of a bucket, where buckets are folders.
func (p *process) bucketDir(name string) (string, bool) {
	if p.settings.blobURL == "" {
		return filepath.Join(p.folder.path, "blob", name), true
	}
	if address, err := url.Parse(p.settings.blobURL); err == nil && address.Scheme == "file" {
		return filepath.Join(address.Path, name), true
	}
	return "", false
}
