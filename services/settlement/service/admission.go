package service

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/backlot-video/backlot/kit/admission"
	"github.com/backlot-video/backlot/kit/lifecycle"
)

const (
	// maxWaiting is the most calls that may wait for one ledger.
	maxWaiting = 1024
	// maxWeights and maxWeight bound what tenants can be given.
	maxWeights = 64
	maxWeight  = 1000
)

// gate makes what stands before the ledgers.
func (s *Service) gate(host *lifecycle.Host) (*admission.Gate, error) {
	shares, err := weights(s.config.TenantWeights)
	if err != nil {
		return nil, err
	}
	return admission.New(admission.Config{
		Service: name, Limit: s.config.WaitingLimit, Patience: s.config.Patience, Transit: transit(s.config.Transit), Weights: shares,
		FixedQueue: !s.config.Admission, Log: host.Log, Registerer: host.Registerer, Clock: host.Clock,
	})
}

// transit is what a Gate wants for what was configured: 0 means its default
// there.
func transit(configured time.Duration) time.Duration {
	if configured == 0 {
		return -1
	}
	return configured
}

// weights reads `tenant=weight,...`.
func weights(text string) (map[string]int, error) {
	shares := make(map[string]int)
	if text == "" {
		return shares, nil
	}
	for _, part := range strings.Split(text, ",") {
		tenant, number, found := strings.Cut(strings.TrimSpace(part), "=")
		weight, err := strconv.Atoi(number)
		switch {
		case !found || tenant == "":
			return nil, fmt.Errorf("%q: want tenant=weight", part)
		case err != nil || weight < 1 || weight > maxWeight:
			return nil, fmt.Errorf("%s: weight %q, must be 1 to %d", tenant, number, maxWeight)
		case shares[tenant] != 0:
			return nil, fmt.Errorf("%s: it is named twice", tenant)
		}
		shares[tenant] = weight
	}
	if len(shares) > maxWeights {
		return nil, errors.New("more than " + strconv.Itoa(maxWeights) + " tenants")
	}
	return shares, nil
}
