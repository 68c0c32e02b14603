package service

import (
	"context"
	_ "embed"
	"fmt"

	"google.golang.org/protobuf/proto"

	"github.com/backlot-video/backlot/kit/informer"
	"github.com/backlot-video/backlot/kit/lifecycle"
	rulesv1 "github.com/backlot-video/backlot/proto/gen/backlot/rules/v1"
	"github.com/backlot-video/backlot/services/rules/internal/listing"
	"github.com/backlot-video/backlot/services/rules/rate"
)

// payments is the ruleset that a new installation starts with. It then belongs
// to the operator.
//
//go:embed payments.rules
var payments string

const paymentsName = "payments"

func defaultRuleset() *rulesv1.Ruleset {
	return &rulesv1.Ruleset{FactType: string((*rulesv1.PaymentFact)(nil).ProtoReflect().Descriptor().FullName()), Source: payments}
}

// follow holds the catalog to the configuration objects. It returns when the
// objects there are have been taken up.
func follow(ctx context.Context, host *lifecycle.Host, all *releases, loader *listing.Loader) error {
	c := all.catalog
	if own, alone := host.Source().(*informer.Static); alone {
		own.Put("Ruleset", "", paymentsName, defaultRuleset())
	} else {
		host.EnsureObjects(lifecycle.Default{Kind: "Ruleset", Name: paymentsName, Spec: defaultRuleset()})
	}
	// Rulesets refer to fact types and lists: those come first.
	types := consume[*rulesv1.FactType](host, "FactType", func(event informer.Event[*rulesv1.FactType]) error {
		spec := event.Object.Spec
		if event.Type == informer.Deleted {
			c.DeleteFactType(spec.GetMessage())
			return nil
		}
		return c.PutFactType(spec.GetMessage(), spec.GetDescriptors(), spec.GetSchemaRevision())
	})
	lists := start[*rulesv1.RuleList](host, "RuleList", func(event informer.Event[*rulesv1.RuleList]) {
		if event.Type == informer.Deleted {
			loader.Delete(fullName(event.Object))
			return
		}
		loader.Put(fullName(event.Object), version(event.Object), event.Object.Spec)
	})
	rates := consume[*rulesv1.RateTable](host, "RateTable", func(event informer.Event[*rulesv1.RateTable]) error {
		switch {
		case fullName(event.Object) != "default":
			host.Log.Warn("only the rate table named default is used", "rate_table", fullName(event.Object))
		case event.Type == informer.Deleted:
			c.DeleteRates()
		default:
			return c.PutRates(version(event.Object), func() (*rate.Table, error) {
				worths := map[string]string{}
				for _, one := range event.Object.Spec.GetRates() {
					worths[one.GetCurrency()] = one.GetWorth()
				}
				return rate.New(version(event.Object), event.Object.Spec.GetBase(), worths)
			})
		}
		return nil
	})
	for _, wait := range []func(context.Context) error{types.WaitSynced, lists.WaitSynced, rates.WaitSynced} {
		if err := wait(ctx); err != nil {
			return err
		}
	}
	loader.Settle(ctx)
	host.Go("lists", loader.Run)
	return all.followRulesets(ctx, host)
}

// start runs an informer of a kind that hands each change to handle.
func start[T proto.Message](host *lifecycle.Host, kind string, handle func(informer.Event[T])) *informer.Informer[T] {
	return consume(host, kind, func(event informer.Event[T]) error {
		handle(event)
		return nil
	})
}

// consume is start for a handle whose errors reject the object: it is left as
// it was, and the configstore is told.
func consume[T proto.Message](host *lifecycle.Host, kind string, handle func(informer.Event[T]) error) *informer.Informer[T] {
	objects := informerOf[T](host, kind)
	run(host, kind, objects, handle)
	return objects
}

func informerOf[T proto.Message](host *lifecycle.Host, kind string) *informer.Informer[T] {
	return informer.New[T](host.Source(), kind, informer.Config{
		SnapshotFile: host.Snapshot(kind), Log: host.Log, Registerer: host.Registerer,
	})
}

func run[T proto.Message](host *lifecycle.Host, kind string, objects *informer.Informer[T], handle func(informer.Event[T]) error) {
	objects.Consume(handle)
	host.Go(kind, objects.Run)
}

// fullName is the name that decisions and rules use: with the namespace where
// that is not the default one.
func fullName[T proto.Message](object *informer.Object[T]) string {
	if object.Namespace == "" || object.Namespace == "default" {
		return object.Name
	}
	return object.Namespace + "/" + object.Name
}

// version is the release that an object is of.
func version[T proto.Message](object *informer.Object[T]) string {
	if object.ReleaseID != "" {
		return object.ReleaseID
	}
	return fmt.Sprintf("revision-%d", object.Revision)
}
