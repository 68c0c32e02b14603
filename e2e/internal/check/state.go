package check

import (
	"context"
	"fmt"
	"time"

	"github.com/backlot-video/backlot/e2e/internal/client"
	configstorev1 "github.com/backlot-video/backlot/proto/gen/backlot/configstore/v1"
	coordinatorv1 "github.com/backlot-video/backlot/proto/gen/backlot/coordinator/v1"
	settlementv1 "github.com/backlot-video/backlot/proto/gen/backlot/settlement/v1"
	storefrontv1 "github.com/backlot-video/backlot/proto/gen/backlot/storefront/v1"
	transcoderv1alpha1 "github.com/backlot-video/backlot/proto/gen/backlot/transcoder/v1alpha1"
)

// State is what an installation says of itself.
type State struct {
	Accounts     []*settlementv1.Account
	Transfers    []*settlementv1.Transfer
	Orders       []*storefrontv1.Order
	Entitlements []*storefrontv1.Entitlement
	Videos       []*storefrontv1.Video // of every creator that has published or sold
	Jobs         []*transcoderv1alpha1.Job
	Transactions []*coordinatorv1.Transaction
	// Policies are split policies by version, as transfers name them.
	Policies map[string]*settlementv1.SplitPolicy
	// Verified is what the ledger says of itself.
	Verified *settlementv1.VerifyLedgerResponse
	// Differences are those that settlement has found by the facts that it
	// hears, and that nothing has closed.
	Differences []*settlementv1.Difference
}

// Faults are all that does not hold.
func (s *State) Faults() []string {
	faults := append(s.books(), s.sales()...)
	for _, fault := range s.Verified.GetFaults() {
		faults = append(faults, "the ledger says of itself: "+fault)
	}
	for _, difference := range s.Differences {
		faults = append(faults, fmt.Sprintf("settlement finds a difference of transaction %s: %v", difference.GetXid(), difference.GetKinds()))
	}
	if !s.Verified.GetOk() {
		faults = append(faults, "the ledger says that it does not hold")
	}
	return faults
}

// Settle reads the state until nothing is amiss or patience ends: what was
// cut short ends by itself soon.
func Settle(ctx context.Context, operator *client.Session, patience time.Duration) (*State, []string, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	tick := time.NewTicker(250 * time.Millisecond)
	defer tick.Stop()
	var last *State
	var faults []string
	for {
		state, err := Read(ctx, operator)
		switch {
		case err == nil:
			last, faults = state, state.Faults()
			if len(faults) == 0 {
				return last, nil, nil
			}
		case last == nil && ctx.Err() != nil:
			return nil, nil, err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			if last == nil {
				return nil, nil, err
			}
			return last, faults, nil
		}
	}
}

// Read reads the state as an operator.
func Read(ctx context.Context, operator *client.Session) (*State, error) {
	s := &State{}
	for _, read := range []func(context.Context, *client.Session) error{
		s.readSales, s.readVideos, s.readLedger, s.readPolicies,
	} {
		if err := read(ctx, operator); err != nil {
			return nil, err
		}
	}
	return s, nil
}

const pageSize = 500

// pages reads a list to its end.
func pages[T any](fetch func(token string) (page []T, next string, err error)) ([]T, error) {
	var all []T
	for token := ""; ; {
		page, next, err := fetch(token)
		if err != nil {
			return nil, err
		}
		all = append(all, page...)
		if next == "" {
			return all, nil
		}
		if next == token {
			return nil, fmt.Errorf("page token %q repeats itself", token)
		}
		token = next
	}
}

func (s *State) readLedger(ctx context.Context, operator *client.Session) (err error) {
	s.Transfers, err = pages(func(token string) ([]*settlementv1.Transfer, string, error) {
		r, err := operator.Ledger.ListTransfers(ctx, &settlementv1.ListTransfersRequest{PageSize: pageSize, PageToken: token})
		return r.GetTransfers(), r.GetNextPageToken(), err
	})
	if err != nil {
		return fmt.Errorf("list transfers: %w", err)
	}
	s.Accounts, err = pages(func(token string) ([]*settlementv1.Account, string, error) {
		r, err := operator.Ledger.ListAccounts(ctx, &settlementv1.ListAccountsRequest{PageSize: pageSize, PageToken: token})
		return r.GetAccounts(), r.GetNextPageToken(), err
	})
	if err != nil {
		return fmt.Errorf("list accounts: %w", err)
	}
	if s.Verified, err = operator.Ledger.VerifyLedger(ctx, &settlementv1.VerifyLedgerRequest{}); err != nil {
		return fmt.Errorf("verify ledger: %w", err)
	}
	s.Differences, err = pages(func(token string) ([]*settlementv1.Difference, string, error) {
		r, err := operator.Reconciliation.ListDifferences(ctx, &settlementv1.ListDifferencesRequest{PageSize: pageSize, PageToken: token})
		return r.GetDifferences(), r.GetNextPageToken(), err
	})
	if err != nil {
		return fmt.Errorf("list differences: %w", err)
	}
	return nil
}

func (s *State) readSales(ctx context.Context, operator *client.Session) (err error) {
	s.Orders, err = pages(func(token string) ([]*storefrontv1.Order, string, error) {
		r, err := operator.Orders.ListOrders(ctx, &storefrontv1.ListOrdersRequest{PageSize: pageSize, PageToken: token})
		return r.GetOrders(), r.GetNextPageToken(), err
	})
	if err != nil {
		return fmt.Errorf("list orders: %w", err)
	}
	s.Entitlements, err = pages(func(token string) ([]*storefrontv1.Entitlement, string, error) {
		r, err := operator.Orders.ListEntitlements(ctx, &storefrontv1.ListEntitlementsRequest{PageSize: pageSize, PageToken: token})
		return r.GetEntitlements(), r.GetNextPageToken(), err
	})
	if err != nil {
		return fmt.Errorf("list entitlements: %w", err)
	}
	s.Transactions, err = pages(func(token string) ([]*coordinatorv1.Transaction, string, error) {
		r, err := operator.Coordinator.ListTransactions(ctx, &coordinatorv1.ListTransactionsRequest{PageSize: pageSize, PageToken: token})
		return r.GetTransactions(), r.GetNextPageToken(), err
	})
	if err != nil {
		return fmt.Errorf("list transactions: %w", err)
	}
	return nil
}

func (s *State) readVideos(ctx context.Context, operator *client.Session) error {
	list := func(creator string) ([]*storefrontv1.Video, error) {
		return pages(func(token string) ([]*storefrontv1.Video, string, error) {
			r, err := operator.Catalogue.ListVideos(ctx, &storefrontv1.ListVideosRequest{
				PageSize: pageSize, PageToken: token, CreatorId: creator,
			})
			return r.GetVideos(), r.GetNextPageToken(), err
		})
	}
	published, err := list("")
	if err != nil {
		return fmt.Errorf("list videos: %w", err)
	}
	creators := map[string]bool{}
	for _, video := range published {
		creators[video.GetCreatorId()] = true
	}
	for _, order := range s.Orders {
		creators[order.GetCreatorId()] = true
	}
	for creator := range creators {
		videos, err := list(creator)
		if err != nil {
			return fmt.Errorf("list videos of %s: %w", creator, err)
		}
		s.Videos = append(s.Videos, videos...)
	}
	s.Jobs, err = pages(func(token string) ([]*transcoderv1alpha1.Job, string, error) {
		r, err := operator.Transcoder.ListJobs(ctx, &transcoderv1alpha1.ListJobsRequest{PageSize: pageSize, PageToken: token})
		return r.GetJobs(), r.GetNextPageToken(), err
	})
	if err != nil {
		return fmt.Errorf("list jobs: %w", err)
	}
	return nil
}

// readPolicies reads the policies in force. Settlement's own is in force as
// long as there is no object named default.
func (s *State) readPolicies(ctx context.Context, operator *client.Session) error {
	s.Policies = map[string]*settlementv1.SplitPolicy{"default": {Shares: []*settlementv1.Share{
		{Payee: settlementv1.Payee_PAYEE_CREATOR, Ppm: 700_000},
		{Payee: settlementv1.Payee_PAYEE_PLATFORM, Ppm: 200_000},
		{Payee: settlementv1.Payee_PAYEE_TAX, Ppm: 100_000},
	}}}
	objects, err := operator.Config.List(ctx, &configstorev1.ListRequest{Kind: "SplitPolicy"})
	if err != nil {
		return fmt.Errorf("list split policies: %w", err)
	}
	for _, object := range objects.GetObjects() {
		policy := &settlementv1.SplitPolicy{}
		if err := object.GetSpec().UnmarshalTo(policy); err != nil {
			return fmt.Errorf("split policy %s: %w", object.GetKey().GetName(), err)
		}
		s.Policies[object.GetKey().GetName()+"@"+object.GetReleaseId()] = policy
	}
	return nil
}
