package reconcile

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

// read reads a whole file, rows as text.
func read(source io.Reader, mapping Mapping) (rows []string, err error) {
	r, err := NewReader(source, mapping)
	if err != nil {
		return nil, err
	}
	for {
		row, err := r.Next()
		if errors.Is(err, io.EOF) {
			return rows, nil
		}
		if err != nil {
			return rows, err
		}
		rows = append(rows, fmt.Sprintf("%d %s %d %s %v %s", row.Line, row.Reference, row.Amount.Minor, row.Amount.Currency, row.Moved, row.State))
	}
}

func TestRowsAreReadAsMapped(t *testing.T) {
	for name, c := range map[string]struct {
		file    string
		mapping Mapping
		want    string
	}{
		"plain":                              {"reference,amount,currency,state\np1,4.99,USD,settled\np2,500,JPY,Failed\n", Mapping{}, "2 p1 499 USD true settled; 3 p2 500 JPY false Failed"},
		"another order, no state, CRLF, BOM": {"\ufeffCurrency, Amount ,Reference\r\nkwd,1.5,\"a,\"\"b\"\"\"\r\n", Mapping{}, `2 a,"b" 1500 KWD true `},
		"own names":                          {"Id;Betrag;W\nx;-12;EUR\n", Mapping{Reference: "id", Amount: "betrag", Currency: "w", Separator: ';'}, "2 x -1200 EUR true "},
		"minor units":                        {"reference,amount,currency\nx,499,USD\n", Mapping{MinorUnits: true}, "2 x 499 USD true "},
		"zeros beyond the exponent":          {"reference,amount,currency\nx,500.00,JPY\ny,+1.2300,USD\n", Mapping{}, "2 x 500 JPY true ; 3 y 123 USD true "},
		"own states":                         {"reference,amount,currency,status\nx,1,USD,OK\ny,1,USD,no\n", Mapping{State: "status", Settled: []string{"ok"}, Failed: []string{"NO"}}, "2 x 100 USD true OK; 3 y 100 USD false no"},
		"line breaks within quotes":          {"reference,amount,currency,note\nx,1,USD,\"a\nb\"\ny,2,USD,\n", Mapping{}, "2 x 100 USD true ; 4 y 200 USD true "},
		"least amount":                       {"reference,amount,currency\nx,-92233720368547758.08,USD\n", Mapping{}, "2 x -9223372036854775808 USD true "},
		"no rows":                            {"reference,amount,currency\n", Mapping{}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			rows, err := read(strings.NewReader(c.file), c.mapping)
			if got := strings.Join(rows, "; "); err != nil || got != c.want {
				t.Errorf("got %q, %v, want %q", got, err, c.want)
			}
		})
	}
}

func TestFaultsNameLineAndColumn(t *testing.T) {
	const header = "reference,amount,currency,state\n"
	long := strings.Repeat("x", MaxRecord)
	for says, file := range map[string]string{
		"is empty":                        "",
		`has no column "amount"`:          "reference,currency\n",
		`two columns are called "amount"`: "reference,amount,Amount,currency\n",
		"line 3, column 3: amount: \"4,99\" is not an amount such as 4.99":   header + "p,1,USD,paid\np,\"4,99\",USD,paid\n",
		"line 2, column 3: amount: \"$5\" is not an amount":                  header + "p,$5,USD,paid\n",
		"line 2, column 3: amount: \"\" is not an amount":                    header + "p,,USD,paid\n",
		"line 2, column 3: amount: \"1e3\" is not an amount":                 header + "p,1e3,USD,paid\n",
		"line 2, column 3: amount: \"4.999\" has more than 2 digits":         header + "p,4.999,USD,paid\n",
		"line 2, column 3: amount: \"0.5\" has more than 0 digits":           header + "p,0.5,JPY,paid\n",
		"line 2, column 3: amount: \"92233720368547758.08\" is out of range": header + "p,92233720368547758.08,USD,paid\n",
		"line 2, column 5: currency: \"XXX\" is not in ISO 4217":             header + "p,1,xxx,paid\n",
		"line 2, column 9: state: \"maybe\" is neither settled nor failed":   header + "p,1,USD,maybe\n",
		"line 2, column 1: reference: has 0 bytes":                           header + ",1,USD,paid\n",
		"line 2, column 1: reference: has 129 bytes":                         header + strings.Repeat("r", 129) + ",1,USD,paid\n",
		"line 2, column 1: has 3 columns, the header 4":                      header + "p,1,USD\n",
		"line 2, column 1: has 65 columns, at most 64":                       header + strings.Repeat(",", 64) + "\n",
		"line 2, column 1: reference: is not UTF-8":                          header + "\xff,1,USD,paid\n",
		"line 2, column 4: bare \" in non-quoted-field":                      header + "p,1\"2,USD,paid\n",
		"has a row of more than 16384 bytes":                                 header + long + long + ",1,USD,paid\n",
		"has a row of more than 16384 bytes ":                                header + "\"" + strings.Repeat("x\n", MaxRecord),
	} {
		for name, source := range map[string]io.Reader{"at once": strings.NewReader(file), "byte by byte": iotest.OneByteReader(strings.NewReader(file))} {
			_, err := read(source, Mapping{})
			var fault *FileError
			if !errors.Is(err, ErrFile) || !errors.As(err, &fault) || !strings.Contains(err.Error(), strings.TrimSpace(says)) {
				t.Errorf("%s: got %v, want %q", name, err, says)
			}
		}
	}
	for _, mapping := range []Mapping{{Separator: '"'}, {Separator: '\n'}, {Settled: []string{"x"}, Failed: []string{"X"}}} {
		if _, err := NewReader(strings.NewReader(header), mapping); !errors.Is(err, ErrFile) {
			t.Errorf("%+v: got %v", mapping, err)
		}
	}
	fault := errors.New("disk is gone")
	if _, err := read(io.MultiReader(strings.NewReader(header), iotest.ErrReader(fault)), Mapping{}); !errors.Is(err, fault) {
		t.Errorf("got %v", err)
	}
}

// endless gives the same row again and again.
type endless struct {
	row string
	at  int
}

func (e *endless) Read(p []byte) (n int, err error) {
	for n < len(p) {
		copied := copy(p[n:], e.row[e.at:])
		n, e.at = n+copied, (e.at+copied)%len(e.row)
	}
	return n, nil
}

func TestFilesWithoutEndAreRefused(t *testing.T) {
	if r, err := NewReader(strings.NewReader("reference,amount,currency\n"), Mapping{}); err != nil || r.maxRows != MaxRows || r.limit.size != MaxSize {
		t.Errorf("limits %+v, %v", r, err)
	}
	for says, row := range map[string]string{
		"more than 1000 rows":         "p,1,USD\n",
		"is larger than 300000 bytes": "p,1,USD" + strings.Repeat(" ", 1000) + "\n",
	} {
		r, err := NewReader(io.MultiReader(strings.NewReader("reference,amount,currency\n"), &endless{row: row}), Mapping{})
		if err != nil {
			t.Fatal(err)
		}
		r.maxRows, r.limit.size = 1000, 300_000
		for err == nil {
			_, err = r.Next()
		}
		if !errors.Is(err, ErrFile) || !strings.Contains(err.Error(), says) {
			t.Errorf("got %v, want %q", err, says)
		}
	}
}

// FuzzReader reads whatever comes: it must not panic, each fault must be one of
// the file, and how the bytes come must not matter.
func FuzzReader(f *testing.F) {
	f.Add([]byte("reference,amount,currency,state\np1,4.99,USD,settled\n"), ',')
	f.Add([]byte("\ufeffreference;amount;currency\n\"a\nb\";-5;JPY\n"), ';')
	f.Add([]byte("reference,amount,currency\nx,99999999999999999999,USD\n\"\n"), ',')
	f.Fuzz(func(t *testing.T, file []byte, separator rune) {
		mapping := Mapping{Separator: separator}
		rows, err := read(strings.NewReader(string(file)), mapping)
		if err != nil && !errors.Is(err, ErrFile) {
			t.Errorf("got %v", err)
		}
		slowly, slowErr := read(iotest.OneByteReader(strings.NewReader(string(file))), mapping)
		if strings.Join(rows, "\n") != strings.Join(slowly, "\n") || fmt.Sprint(err) != fmt.Sprint(slowErr) {
			t.Errorf("at once %q, %v; byte by byte %q, %v", rows, err, slowly, slowErr)
		}
	})
}
