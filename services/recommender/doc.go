// Package recommender trains and serves recommendations. See service for the
// wiring.
package recommender
