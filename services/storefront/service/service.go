// Package service wires storefront: the catalogue, accounts, orders and
// entitlements, and the drive of purchases.
package service

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/backlot-video/backlot/kit/config"
	"github.com/backlot-video/backlot/kit/lifecycle"
	"github.com/backlot-video/backlot/kit/mq"
	"github.com/backlot-video/backlot/kit/tcc"
	"github.com/backlot-video/backlot/kit/token"
	coordinatorv1 "github.com/backlot-video/backlot/proto/gen/backlot/coordinator/v1"
	rulesv1 "github.com/backlot-video/backlot/proto/gen/backlot/rules/v1"
	storefrontv1 "github.com/backlot-video/backlot/proto/gen/backlot/storefront/v1"
	tccv1 "github.com/backlot-video/backlot/proto/gen/backlot/tcc/v1"
	"github.com/backlot-video/backlot/services/storefront/internal/api"
	"github.com/backlot-video/backlot/services/storefront/internal/credential"
	"github.com/backlot-video/backlot/services/storefront/internal/ingest"
	"github.com/backlot-video/backlot/services/storefront/internal/purchase"
	"github.com/backlot-video/backlot/services/storefront/internal/store"
	backlotsql "github.com/backlot-video/backlot/sql"
)

const name = "storefront"

// Config has storefront's settings.
type Config struct {
	// Issuer stands in sign-in tokens; default "backlot".
	Issuer string
	// TokenLife is how long a sign-in lasts; default 12 h.
	TokenLife time.Duration
	// PlaybackLife is how long a media address is good; default 6 h.
	PlaybackLife time.Duration
}

// Service is storefront.
type Service struct{ config Config }

// New returns storefront with default settings.
func New() *Service { return &Service{} }

// Name implements lifecycle.Service.
func (s *Service) Name() string { return name }

// RegisterFlags implements lifecycle.Service.
func (s *Service) RegisterFlags(set *config.Set) {
	set.String(&s.config.Issuer, "issuer", "backlot", "`name` in sign-in tokens (iss)")
	set.Duration(&s.config.TokenLife, "token-life", 12*time.Hour, "how `long` a sign-in lasts")
	set.Duration(&s.config.PlaybackLife, "playback-life", 6*time.Hour, "how `long` a media address is good")
}

// Validate implements lifecycle.Service.
func (s *Service) Validate() error {
	var faults []error
	if s.config.Issuer == "" {
		faults = append(faults, errors.New("storefront.issuer: must not be empty"))
	}
	if s.config.TokenLife < time.Minute {
		faults = append(faults, errors.New("storefront.token-life: must be at least 1m"))
	}
	if s.config.PlaybackLife < time.Minute {
		faults = append(faults, errors.New("storefront.playback-life: must be at least 1m"))
	}
	return errors.Join(faults...)
}

// Run implements lifecycle.Service.
func (s *Service) Run(ctx context.Context, host *lifecycle.Host) error {
	db, err := host.Database(ctx, backlotsql.Migrations(name))
	if err != nil {
		return err
	}
	broker, err := host.MQ(ctx)
	if err != nil {
		return err
	}
	outbox := mq.NewOutbox(mq.OutboxConfig{Service: name, DB: db, Client: broker, Log: host.Log, Clock: host.Clock})
	signer, err := token.OpenSigner(filepath.Join(host.DataDir, "token.key"), s.config.Issuer, host.Clock)
	if err != nil {
		return err
	}
	parts := s.assemble(host, store.New(db), facts{outbox}, signer)
	if err := ensureOperator(ctx, host, parts.accounts); err != nil {
		return err
	}
	host.Handle(storefrontv1.AccountServiceDesc, parts.accounts)
	host.Handle(storefrontv1.CatalogueServiceDesc, parts.catalogue)
	host.Handle(storefrontv1.OrderServiceDesc, parts.orders)
	host.Handle(tccv1.ParticipantServiceDesc, tcc.NewServer(db, parts.orders.Driver.Actions(), tcc.Config{Log: host.Log, Clock: host.Clock}))

	key := signer.VerificationKey()
	host.EnsureObjects(lifecycle.Default{Kind: "VerificationKey", Name: name + "-" + key.GetKeyId(), Spec: key})
	host.Go("outbox", outbox.Run)
	host.Go("purchase recovery", parts.orders.Driver.Recover)
	host.Go("ingest", func(ctx context.Context) error {
		return broker.Consume(ctx, mq.Consumer{
			Durable:  ingest.Consumer,
			Subjects: mq.Subjects(ingest.UploadFinished, ingest.JobSucceeded, ingest.JobFailed),
			Handler:  parts.ingest.Handle,
		})
	})
	host.Ready()
	<-ctx.Done()
	return nil
}

type parts struct {
	accounts  *api.Accounts
	catalogue *api.Catalogue
	orders    *api.Orders
	ingest    *ingest.Ingest
}

func (s *Service) assemble(host *lifecycle.Host, st *store.Store, outbox facts, signer *token.Signer) parts {
	driver := &purchase.Driver{
		Store:       st,
		Rules:       rulesv1.NewRulesServiceClient(host.Dial("rules")),
		Coordinator: coordinatorv1.NewCoordinatorServiceClient(host.Dial("coordinator")),
		Outbox:      outbox, Clock: host.Clock, Log: host.Log,
	}
	return parts{
		accounts: &api.Accounts{
			Store: st, Passwords: credential.NewPasswords(), Signer: signer, Clock: host.Clock, TokenLife: s.config.TokenLife,
		},
		catalogue: &api.Catalogue{Store: st, Outbox: outbox, Clock: host.Clock},
		orders: &api.Orders{
			Store: st, Driver: driver, Signer: signer, Clock: host.Clock, PlaybackLife: s.config.PlaybackLife,
		},
		ingest: &ingest.Ingest{Store: st, Once: mq.Once, Clock: host.Clock},
	}
}

// ensureOperator makes the operator at the first start and says where the
// key is.
func ensureOperator(ctx context.Context, host *lifecycle.Host, accounts *api.Accounts) error {
	key, path, err := credential.OperatorKey(host.DataDir)
	if err != nil {
		return err
	}
	if err := accounts.EnsureOperator(ctx, key); err != nil {
		return fmt.Errorf("operator account: %w", err)
	}
	host.Log.Info("the operator signs in with the key in a file", "file", path)
	return nil
}

// facts puts storefront's facts into the outbox.
type facts struct{ outbox *mq.Outbox }

// Add implements the domain's Outbox.
func (f facts) Add(ctx context.Context, tx *sql.Tx, tenant, fact, key string, data proto.Message) error {
	envelope, err := mq.NewEnvelope(tenant, "backlot."+name+"."+fact+".v1", key, data)
	if err != nil {
		return err
	}
	return f.outbox.Add(ctx, tx, envelope)
}
