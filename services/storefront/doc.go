// Package storefront owns videos, prices, viewers, orders and entitlements. See
// service for the wiring.
package storefront
