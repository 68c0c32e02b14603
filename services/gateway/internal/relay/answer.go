package relay

import (
	"encoding/json"
	"fmt"
	"net/http"
)

// answer is an error in Connect's form.
type answer struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

// refuse answers with an error in Connect's form, which any client can
// read.
func refuse(w http.ResponseWriter, status int, code, message string) {
	header := w.Header()
	header.Set("Content-Type", "application/json")
	header.Del("Content-Length")
	if status == http.StatusUnauthorized {
		header.Set("WWW-Authenticate", "Bearer")
	}
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(answer{Code: code, Message: message})
}

func tooLarge(limit int64) string {
	return fmt.Sprintf("request body: larger than the %d bytes that this route takes", limit)
}
