module github.com/backlot-video/backlot/bench

go 1.26.0

require (
	github.com/backlot-video/backlot/kit v0.0.0
	github.com/backlot-video/backlot/proto v0.0.0
	github.com/backlot-video/backlot/sql v0.0.0
	github.com/backlot-video/backlot/services/gateway v0.0.0
	github.com/backlot-video/backlot/services/configstore v0.0.0
	github.com/backlot-video/backlot/services/coordinator v0.0.0
	github.com/backlot-video/backlot/services/settlement v0.0.0
	github.com/backlot-video/backlot/services/rules v0.0.0
	github.com/backlot-video/backlot/services/recommender v0.0.0
	github.com/backlot-video/backlot/services/transcoder v0.0.0
	github.com/backlot-video/backlot/services/storefront v0.0.0
)

replace (
	github.com/backlot-video/backlot/kit => ../kit
	github.com/backlot-video/backlot/proto => ../proto
	github.com/backlot-video/backlot/sql => ../sql
	github.com/backlot-video/backlot/services/gateway => ../services/gateway
	github.com/backlot-video/backlot/services/configstore => ../services/configstore
	github.com/backlot-video/backlot/services/coordinator => ../services/coordinator
	github.com/backlot-video/backlot/services/settlement => ../services/settlement
	github.com/backlot-video/backlot/services/rules => ../services/rules
	github.com/backlot-video/backlot/services/recommender => ../services/recommender
	github.com/backlot-video/backlot/services/transcoder => ../services/transcoder
	github.com/backlot-video/backlot/services/storefront => ../services/storefront
)
