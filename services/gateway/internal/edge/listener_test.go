package edge_test

import (
	"strings"
	"testing"

	"github.com/backlot-video/backlot/services/gateway/internal/edge"
)

func TestListenersThatTheSystemWouldRefuse(t *testing.T) {
	for _, test := range []struct{ first, second, want string }{
		{"127.0.0.1:80", "127.0.0.1:80", `listener "b": address: 127.0.0.1:80 is that of listener "a"`},
		{"127.0.0.1:80", "0.0.0.0:80", `listener "b": address: 0.0.0.0:80 takes connections of listener "a"`},
		{"127.0.0.1:80", "127.0.0.2:80", ""},
	} {
		c := &edge.Config{Listeners: []edge.Listener{{Name: "a", Address: test.first}, {Name: "b", Address: test.second}}}
		if err := c.CheckBeside("0.0.0.0:81"); err != nil {
			t.Error(err)
		}
		if err := c.CheckBeside(test.second); err == nil || !strings.Contains(err.Error(), `listener "b": address: `+test.second+" meets") {
			t.Errorf("beside %s: %v", test.second, err)
		}
		if err := c.Check(); (err != nil) != (test.want != "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s and %s: %v, want %q", test.first, test.second, err, test.want)
		}
	}
}
