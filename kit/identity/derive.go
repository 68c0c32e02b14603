package identity

// Derive returns 32 secret bytes for a purpose of its own, which do not
// give the cluster key away. They follow the signing key of now.
func (k *Keys) Derive(purpose string) []byte {
	return mac((*k.keys.Load())[0], []byte("backlot/derive/"+purpose))
}
