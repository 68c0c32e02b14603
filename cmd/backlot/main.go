// Command backlot runs all services in one process, one service alone, or
// a tool beside them.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/backlot-video/backlot/console"
	"github.com/backlot-video/backlot/kit/crashpoint"
	"github.com/backlot-video/backlot/kit/lifecycle"
	"github.com/backlot-video/backlot/kit/mq/parked"
	kittool "github.com/backlot-video/backlot/kit/tool"
	configstore "github.com/backlot-video/backlot/services/configstore/service"
	coordinator "github.com/backlot-video/backlot/services/coordinator/service"
	gateway "github.com/backlot-video/backlot/services/gateway/service"
	recommender "github.com/backlot-video/backlot/services/recommender/service"
	rules "github.com/backlot-video/backlot/services/rules/service"
	settlement "github.com/backlot-video/backlot/services/settlement/service"
	storefront "github.com/backlot-video/backlot/services/storefront/service"
	transcoder "github.com/backlot-video/backlot/services/transcoder/service"
)

// services are all of Backlot's, in the order in which they start.
func services() []lifecycle.Service {
	return []lifecycle.Service{
		configstore.New(), rules.New(), settlement.New(), coordinator.New(),
		storefront.New(), transcoder.New(), recommender.New(), gateway.New(console.Files),
	}
}

func main() { os.Exit(run(os.Args[1:])) }

func run(args []string) int {
	verb := "help"
	if len(args) > 0 {
		verb, args = args[0], args[1:]
	}
	switch verb {
	case "up":
		return lifecycle.Execute("backlot", args, services()...)
	case "run":
		return lifecycle.Execute("backlot", args, append(services(), &journey{})...)
	case "mq":
		if len(args) > 0 && args[0] == "parked" {
			return parkedMessages(args[1:])
		}
		return lifecycle.Execute("mq", args, lifecycle.NewBroker())
	case "demo", "certs", "healthcheck":
		return tool(verb, args)
	case "version", "--version":
		fmt.Println("backlot", lifecycle.Version)
		return 0
	case "crashpoints": // for tests: nothing without the build tag crashpoint
		for _, name := range crashpoint.Names() {
			fmt.Println(name)
		}
		return 0
	case "help", "--help", "-h":
		fmt.Print(usage)
		return 0
	}
	tools := map[string]func(string, []string) (int, bool){
		"rules": rules.Tool, "settlement": settlement.Tool, "coordinator": coordinator.Tool,
		"configstore": configstore.Tool,
	}
	if tool, found := tools[verb]; found {
		if code, ran := tool("backlot "+verb, args); ran {
			return code
		}
	}
	if verb == "config" {
		return configuration(args)
	}
	for _, service := range services() {
		if service.Name() == verb {
			return lifecycle.Execute(verb, args, service)
		}
	}
	fmt.Fprintf(os.Stderr, "backlot: verb %q is not known\n\n%s", verb, usage)
	return 2
}

// configuration runs a verb about configuration.
func configuration(args []string) int {
	code, ran := configstore.ConfigTool("backlot config", args)
	if !ran {
		code, _ = configstore.ConfigTool("backlot config", []string{"help"})
	}
	return code
}

// parkedMessages runs a verb about parked messages.
func parkedMessages(args []string) int {
	if len(args) == 0 {
		args = []string{"help"}
	}
	code, ran := kittool.Process("backlot mq parked", parked.About, args, parked.Verbs())
	if !ran {
		code, _ = kittool.Process("backlot mq parked", parked.About, []string{"help"}, parked.Verbs())
	}
	return code
}

// tool runs a verb that ends by itself.
func tool(verb string, args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	tools := map[string]func(context.Context, []string) error{
		"demo": demoVerb, "certs": certsVerb, "healthcheck": healthcheckVerb,
	}
	if err := tools[verb](ctx, args); err != nil {
		fmt.Fprintf(os.Stderr, "backlot %s: %v\n", verb, err)
		return 1
	}
	return 0
}

const usage = `Backlot is the backend of a paid-video business.

  backlot up           run every service in this process, all embedded
  backlot run          the same, and drive the demo journey once it is up
  backlot SERVICE      run one service in a process of its own:
                       configstore rules settlement coordinator storefront
                       transcoder recommender gateway
  backlot rules VERB   check, test, format and try rulesets: see
                       backlot rules help
  backlot settlement VERB  verify the books, reconcile files, pay out: see
                       backlot settlement help
  backlot coordinator VERB  list global transactions, retry and force them: see
                       backlot coordinator help
  backlot config VERB  read, change and take back configuration, as YAML files:
                       see backlot config help
  backlot configstore VERB  look after the members that keep the configuration:
                       see backlot configstore help
  backlot mq           run the embedded message broker in a process of its own
  backlot mq parked V  list, show, replay and drop messages that no attempt of a
                       consumer took: see backlot mq parked help
  backlot demo         drive the whole journey through the API of a running
                       Backlot: upload, transcode, publish, watch, recommend,
                       buy, split, play; ends with a receipt
  backlot certs        make certificates for calls between services
  backlot healthcheck  ask a process whether it is ready (exit code 0 or 1)
  backlot version

Each verb explains its flags with --help.
`
