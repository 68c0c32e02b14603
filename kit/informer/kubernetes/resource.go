package kubernetes

import "github.com/backlot-video/backlot/kit/informer/wire"

// Resource is a kind of object as the API server names it.
type Resource struct {
	Group   string // empty: the core group
	Version string
	Name    string // in the plural, as in URLs
	Kind    string
	// Schema has names for Config.Fields; fields that it lacks can be written
	// as numbers.
	Schema wire.Schema
}

// The resources whose fields have names here. Others can be made by hand.
var (
	Pods           = Resource{Version: "v1", Name: "pods", Kind: "Pod", Schema: podSchema}
	EndpointSlices = Resource{Group: "discovery.k8s.io", Version: "v1", Name: "endpointslices", Kind: "EndpointSlice", Schema: sliceSchema}
)

func (r *Resource) path() string {
	if r.Group == "" {
		return "/api/" + r.Version
	}
	return "/apis/" + r.Group + "/" + r.Version
}

func leaf(number int) wire.Field { return wire.Field{Number: number} }

func nested(number int, message wire.Schema) wire.Field {
	return wire.Field{Number: number, Message: message}
}

// MetadataSchema is that of the metadata, field 1, of every object.
var MetadataSchema = wire.Schema{
	"name": leaf(1), "generateName": leaf(2), "namespace": leaf(3), "selfLink": leaf(4), "uid": leaf(5), "resourceVersion": leaf(6),
	"generation": leaf(7), "creationTimestamp": leaf(8), "deletionTimestamp": leaf(9), "deletionGracePeriodSeconds": leaf(10),
	"labels": leaf(11), "annotations": leaf(12), "finalizers": leaf(14), "managedFields": leaf(17),
	"ownerReferences": nested(13, wire.Schema{
		"kind": leaf(1), "name": leaf(3), "uid": leaf(4), "apiVersion": leaf(5), "controller": leaf(6), "blockOwnerDeletion": leaf(7),
	}),
}

var referenceSchema = wire.Schema{
	"kind": leaf(1), "namespace": leaf(2), "name": leaf(3), "uid": leaf(4), "apiVersion": leaf(5), "resourceVersion": leaf(6), "fieldPath": leaf(7),
}

var sliceSchema = wire.Schema{
	"metadata": nested(1, MetadataSchema), "addressType": leaf(4),
	"endpoints": nested(2, wire.Schema{
		"addresses": leaf(1), "conditions": nested(2, wire.Schema{"ready": leaf(1), "serving": leaf(2), "terminating": leaf(3)}),
		"hostname": leaf(3), "targetRef": nested(4, referenceSchema), "deprecatedTopology": leaf(5), "nodeName": leaf(6), "zone": leaf(7),
		"hints": leaf(8),
	}),
	"ports": nested(3, wire.Schema{"name": leaf(1), "protocol": leaf(2), "port": leaf(3), "appProtocol": leaf(4)}),
}

var containerSchema = wire.Schema{
	"name": leaf(1), "image": leaf(2), "command": leaf(3), "args": leaf(4), "workingDir": leaf(5),
	"ports": nested(6, wire.Schema{"name": leaf(1), "hostPort": leaf(2), "containerPort": leaf(3), "protocol": leaf(4), "hostIP": leaf(5)}),
	"env":   nested(7, wire.Schema{"name": leaf(1), "value": leaf(2), "valueFrom": leaf(3)}), "envFrom": leaf(19),
	"resources":    nested(8, wire.Schema{"limits": leaf(1), "requests": leaf(2), "claims": leaf(3)}),
	"volumeMounts": leaf(9), "volumeDevices": leaf(21), "livenessProbe": leaf(10), "readinessProbe": leaf(11), "startupProbe": leaf(22),
	"lifecycle": leaf(12), "terminationMessagePath": leaf(13), "terminationMessagePolicy": leaf(20), "imagePullPolicy": leaf(14),
	"securityContext": leaf(15), "stdin": leaf(16), "stdinOnce": leaf(17), "tty": leaf(18), "resizePolicy": leaf(23), "restartPolicy": leaf(24),
}

var stateSchema = wire.Schema{
	"waiting": nested(1, wire.Schema{"reason": leaf(1), "message": leaf(2)}), "running": leaf(2), "terminated": leaf(3),
}

var containerStatusSchema = wire.Schema{
	"name": leaf(1), "state": nested(2, stateSchema), "lastState": nested(3, stateSchema), "ready": leaf(4), "restartCount": leaf(5),
	"image": leaf(6), "imageID": leaf(7), "containerID": leaf(8), "started": leaf(9), "allocatedResources": leaf(10), "resources": leaf(11),
}

var podSchema = wire.Schema{
	"metadata": nested(1, MetadataSchema),
	"spec": nested(2, wire.Schema{
		"volumes": leaf(1), "containers": nested(2, containerSchema), "initContainers": nested(20, containerSchema), "restartPolicy": leaf(3),
		"terminationGracePeriodSeconds": leaf(4), "activeDeadlineSeconds": leaf(5), "dnsPolicy": leaf(6), "nodeSelector": leaf(7),
		"serviceAccountName": leaf(8), "nodeName": leaf(10), "hostNetwork": leaf(11), "hostPID": leaf(12), "hostIPC": leaf(13),
		"securityContext": leaf(14), "imagePullSecrets": leaf(15), "hostname": leaf(16), "subdomain": leaf(17), "affinity": leaf(18),
		"schedulerName": leaf(19), "automountServiceAccountToken": leaf(21), "tolerations": leaf(22), "hostAliases": leaf(23),
		"priorityClassName": leaf(24), "priority": leaf(25), "dnsConfig": leaf(26), "readinessGates": leaf(28), "runtimeClassName": leaf(29),
		"enableServiceLinks": leaf(30), "preemptionPolicy": leaf(31), "overhead": leaf(32), "topologySpreadConstraints": leaf(33),
		"ephemeralContainers": leaf(34), "os": leaf(36), "hostUsers": leaf(37), "schedulingGates": leaf(38), "resourceClaims": leaf(39),
		"resources": leaf(40),
	}),
	"status": nested(3, wire.Schema{
		"phase": leaf(1), "message": leaf(3), "reason": leaf(4), "hostIP": leaf(5), "podIP": leaf(6), "startTime": leaf(7),
		"conditions": nested(2, wire.Schema{
			"type": leaf(1), "status": leaf(2), "lastProbeTime": leaf(3), "lastTransitionTime": leaf(4), "reason": leaf(5), "message": leaf(6),
		}),
		"containerStatuses": nested(8, containerStatusSchema), "qosClass": leaf(9), "initContainerStatuses": nested(10, containerStatusSchema),
		"nominatedNodeName": leaf(11), "podIPs": nested(12, wire.Schema{"ip": leaf(1)}), "ephemeralContainerStatuses": nested(13, containerStatusSchema),
		"resize": leaf(14), "hostIPs": nested(16, wire.Schema{"ip": leaf(1)}), "observedGeneration": leaf(17),
	}),
}
