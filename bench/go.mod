module github.com/backlot-video/backlot/bench

go 1.26.0

replace (
	github.com/backlot-video/backlot/kit => ../kit
	github.com/backlot-video/backlot/proto => ../proto
	github.com/backlot-video/backlot/services/configstore => ../services/configstore
	github.com/backlot-video/backlot/services/coordinator => ../services/coordinator
	github.com/backlot-video/backlot/services/gateway => ../services/gateway
	github.com/backlot-video/backlot/services/recommender => ../services/recommender
	github.com/backlot-video/backlot/services/rules => ../services/rules
	github.com/backlot-video/backlot/services/settlement => ../services/settlement
	github.com/backlot-video/backlot/services/storefront => ../services/storefront
	github.com/backlot-video/backlot/services/transcoder => ../services/transcoder
	github.com/backlot-video/backlot/sql => ../sql
)
