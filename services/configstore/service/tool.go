package service

import (
	kittool "github.com/backlot-video/backlot/kit/tool"
	"github.com/backlot-video/backlot/services/configstore/internal/tool"
)

// Tool runs a verb for operators, if args begin with one, and returns its exit
// code. What begins with a flag is for the service.
func Tool(program string, args []string) (code int, ran bool) {
	return kittool.Process(program, tool.About, args, tool.Verbs())
}

// ConfigTool is Tool for the verbs about objects.
func ConfigTool(program string, args []string) (code int, ran bool) {
	return kittool.Process(program, tool.AboutConfig, args, tool.ConfigVerbs())
}
