// Package lsp is a language server for rules: the Language Server Protocol
// 3.17 over a stream.
//
//	server.go      Server, requests and what answers them
//	frame.go       messages on the stream
//	protocol.go    the protocol's types
//	document.go    open sources, positions, faults
//	place.go       what stands before a place, in sources that do not parse too
//	complete.go    completion: what fits at a place
//	candidates.go  completion: fields, members, lists, currencies
//	hover.go       hover
//	navigate.go    definition, references, rename, symbols
//	action.go      formatting, quick fixes
//	colour.go      what to colour
//	words.go       what keywords and functions mean
//
// It is pure: fact types and lists are found by whom it is configured with. A
// server has one stream and one goroutine, that of Run. Requests are answered
// in their order; diagnostics are published when no message waits.
package lsp

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/backlot-video/backlot/services/rules/fact"
	"github.com/backlot-video/backlot/services/rules/internal/syntax"
	"github.com/backlot-video/backlot/services/rules/list"
	"github.com/backlot-video/backlot/services/rules/rate"
)

// maxDocuments bounds how many sources may be open.
const maxDocuments = 1000

// Config has what a server needs; all of it.
type Config struct {
	// Resolve returns what a source is compiled with. Its error is shown in the
	// source.
	Resolve func(uri, text string) (Surroundings, error)
	Version string
}

// Surroundings are what a source is compiled with: the fact type, and lists and
// exchange rates from outside.
type Surroundings struct {
	Schema *fact.Schema
	Lists  *list.Registry
	Rates  *rate.Ref
}

// Server is a language server.
type Server struct {
	config      Config
	in          *bufio.Reader
	out         io.Writer
	documents   map[string]*document
	initialized bool
	stopping    bool // shutdown was asked for
}

// NewServer returns a server that reads from in and writes to out.
func NewServer(config Config, in io.Reader, out io.Writer) *Server {
	return &Server{config: config, in: bufio.NewReaderSize(in, 64<<10), out: out, documents: map[string]*document{}}
}

// ErrGone tells that the client went away without saying so.
var ErrGone = errors.New("lsp: the client is gone")

// errExit ends Run in the orderly way.
var errExit = errors.New("lsp: exit")

// Run serves until the client says exit, which is nil after a shutdown, or the
// stream fails.
func (s *Server) Run() error {
	for {
		body, err := readMessage(s.in)
		switch {
		case errors.Is(err, io.EOF) && s.stopping:
			return nil
		case errors.Is(err, io.EOF):
			return ErrGone
		case err != nil:
			return err
		}
		err = s.message(body)
		switch {
		case errors.Is(err, errExit) && s.stopping:
			return nil
		case errors.Is(err, errExit):
			return ErrGone
		case err != nil:
			return err
		}
		if s.in.Buffered() == 0 {
			if err := s.publish(); err != nil {
				return err
			}
		}
	}
}

// message answers a message. The error ends the server.
func (s *Server) message(body []byte) error {
	var m request
	if err := json.Unmarshal(body, &m); err != nil {
		return writeMessage(s.out, failure{"2.0", json.RawMessage("null"), rpcError{codeParse, err.Error()}})
	}
	if m.Method == "" { // an answer to nothing that was asked
		return nil
	}
	if m.Method == "exit" {
		return errExit
	}
	result, err := s.answer(&m)
	if m.ID == nil {
		return nil // nobody waits for an answer, nor for an error
	}
	var coded *rpcError
	switch {
	case errors.As(err, &coded):
		return writeMessage(s.out, failure{"2.0", m.ID, *coded})
	case err != nil:
		return writeMessage(s.out, failure{"2.0", m.ID, rpcError{codeInvalidParams, err.Error()}})
	}
	return writeMessage(s.out, response{"2.0", m.ID, result})
}

func (s *Server) answer(m *request) (any, error) {
	switch {
	case m.Method == "initialize":
		s.initialized = true
		return s.initialize(), nil
	case !s.initialized:
		return nil, &rpcError{codeNotInitialized, "initialize comes first"}
	case s.stopping:
		return nil, &rpcError{codeInvalidRequest, "the server is shut down"}
	}
	switch m.Method {
	case "shutdown":
		s.stopping = true
		return nil, nil
	case "textDocument/didOpen":
		return with(m, s.open)
	case "textDocument/didChange":
		return with(m, s.change)
	case "textDocument/didSave":
		return with(m, s.saved)
	case "textDocument/didClose":
		return with(m, s.closed)
	case "textDocument/completion":
		return with(m, s.completion)
	case "textDocument/hover":
		return with(m, s.hover)
	case "textDocument/definition":
		return with(m, s.definition)
	case "textDocument/references":
		return with(m, s.references)
	case "textDocument/prepareRename":
		return with(m, s.prepareRename)
	case "textDocument/rename":
		return with(m, s.rename)
	case "textDocument/documentSymbol":
		return with(m, s.symbols)
	case "textDocument/semanticTokens/full":
		return with(m, s.semanticTokens)
	case "textDocument/formatting":
		return with(m, s.formatting)
	case "textDocument/codeAction":
		return with(m, s.actions)
	}
	return nil, &rpcError{codeUnknownMethod, fmt.Sprintf("method %.80q is not known", m.Method)}
}

// with decodes the parameters of a request for what answers it.
func with[P any](m *request, answer func(*P) (any, error)) (any, error) {
	var params P
	if err := json.Unmarshal(m.Params, &params); err != nil {
		return nil, &rpcError{codeInvalidParams, err.Error()}
	}
	return answer(&params)
}

func (s *Server) initialize() any {
	return map[string]any{
		"serverInfo": map[string]any{"name": "backlot rules", "version": s.config.Version},
		"capabilities": map[string]any{
			"positionEncoding":           "utf-16",
			"textDocumentSync":           map[string]any{"openClose": true, "change": 2, "save": true},
			"completionProvider":         map[string]any{"triggerCharacters": []string{".", "@", "\"", "("}},
			"hoverProvider":              true,
			"definitionProvider":         true,
			"referencesProvider":         true,
			"renameProvider":             map[string]any{"prepareProvider": true},
			"documentSymbolProvider":     true,
			"documentFormattingProvider": true,
			"semanticTokensProvider": map[string]any{
				"legend": map[string]any{"tokenTypes": legend, "tokenModifiers": []string{}}, "full": true,
			},
			"codeActionProvider": map[string]any{"codeActionKinds": []string{"quickfix"}},
		},
	}
}

// document returns an open document.
func (s *Server) document(id documentID) (*document, error) {
	if d := s.documents[id.URI]; d != nil {
		return d, nil
	}
	return nil, fmt.Errorf("document %.200q is not open", id.URI)
}

func (s *Server) open(p *openParams) (any, error) {
	if len(s.documents) >= maxDocuments {
		return nil, fmt.Errorf("more than %d documents are open", maxDocuments)
	}
	d := &document{uri: p.TextDocument.URI, version: p.TextDocument.Version}
	d.set(p.TextDocument.Text)
	s.documents[d.uri] = d
	return nil, nil
}

func (s *Server) change(p *changeParams) (any, error) {
	d, err := s.document(documentID{p.TextDocument.URI})
	if err != nil {
		return nil, err
	}
	for _, change := range p.ContentChanges {
		if change.Range == nil {
			d.text = change.Text
			d.index()
		} else if err := d.replace(*change.Range, change.Text); err != nil {
			return nil, err
		}
	}
	d.version = p.TextDocument.Version
	d.set(d.text)
	return nil, nil
}

// saved looks again: lists and fact types beside the source may have changed.
func (s *Server) saved(p *documentParams) (any, error) {
	_, err := s.document(p.TextDocument)
	for _, d := range s.documents {
		d.dirty, d.noted = true, false
	}
	return nil, err
}

func (s *Server) closed(p *documentParams) (any, error) {
	d, err := s.document(p.TextDocument)
	if err != nil {
		return nil, err
	}
	delete(s.documents, d.uri)
	return nil, writeMessage(s.out, notification{"2.0", "textDocument/publishDiagnostics", diagnosticsParams{d.uri, d.version, []diagnostic{}}})
}

// publish tells the diagnostics of documents that changed.
func (s *Server) publish() error {
	for _, uri := range slices.Sorted(maps.Keys(s.documents)) {
		d := s.documents[uri]
		if !d.dirty {
			continue
		}
		d.dirty = false
		params := diagnosticsParams{uri, d.version, []diagnostic{}}
		for _, n := range s.notesOf(d) {
			params.Diagnostics = append(params.Diagnostics, d.diagnostic(n))
		}
		if err := writeMessage(s.out, notification{"2.0", "textDocument/publishDiagnostics", params}); err != nil {
			return err
		}
	}
	return nil
}

// word is a keyword in the language of a document.
func (d *document) word(keyword syntax.Keyword) string {
	if d.language == syntax.Chinese {
		return keyword.Chinese
	}
	return keyword.English
}
