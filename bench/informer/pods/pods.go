// Package pods makes Pods like those of a cluster, of about 4 KB each: always
// the same ones. It is for the programs of this benchmark and its tests.
package pods

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
)

var epoch = time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)

// Pod is the nth one. Its resourceVersion is for the caller to set.
func Pod(n int) *corev1.Pod {
	random := rand.New(rand.NewPCG(uint64(n), 1))
	app := fmt.Sprintf("service-%d", n%120)
	hash := fmt.Sprintf("%09x", uint64(n%120)*0x9e3779b97f4a7c15>>28)
	started := metav1.NewTime(epoch.Add(time.Duration(n) * time.Second))
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Name: fmt.Sprintf("%s-%s-%05x", app, hash, n), GenerateName: app + "-" + hash + "-", Namespace: fmt.Sprintf("team-%d", n%20),
			UID: uid(random), Generation: 1, CreationTimestamp: started,
			Labels: map[string]string{
				"app.kubernetes.io/name": app, "app.kubernetes.io/instance": app + "-production", "app.kubernetes.io/version": "2.14." + fmt.Sprint(n%9),
				"app.kubernetes.io/managed-by": "Helm", "pod-template-hash": hash, "tier": []string{"front", "back", "batch"}[n%3],
			},
			Annotations: map[string]string{
				"prometheus.io/scrape": "true", "prometheus.io/port": "9090", "checksum/config": strings.Repeat(hash, 7),
				"kubectl.kubernetes.io/restartedAt": "2026-10-31T08:15:30Z",
			},
			OwnerReferences: []metav1.OwnerReference{{
				APIVersion: "apps/v1", Kind: "ReplicaSet", Name: app + "-" + hash, UID: uid(random), Controller: new(true), BlockOwnerDeletion: new(true),
			}},
			ManagedFields: []metav1.ManagedFieldsEntry{
				managed("kube-controller-manager", "", 600, random, started), managed("kubelet", "status", 700, random, started),
			},
		},
		Spec:   spec(n, app, random),
		Status: status(n, app, started),
	}
	return pod
}

func uid(random *rand.Rand) types.UID {
	return types.UID(fmt.Sprintf("%08x-%04x-4%03x-a%03x-%012x", random.Uint32(), random.Uint32N(1<<16), random.Uint32N(1<<12), random.Uint32N(1<<12), random.Uint64N(1<<48)))
}

// managed is a manager's entry with so many bytes of field names.
func managed(manager, subresource string, size int, random *rand.Rand, at metav1.Time) metav1.ManagedFieldsEntry {
	names := []string{"containers", "image", "imagePullPolicy", "name", "resources", "conditions", "lastTransitionTime", "hostIP", "podIP", "phase", "startTime", "env", "ports"}
	var text strings.Builder
	for text.Len() < size {
		fmt.Fprintf(&text, `"f:%s":{"k:{\"name\":\"%x\"}":{}},`, names[random.IntN(len(names))], random.Uint32N(1<<12))
	}
	return metav1.ManagedFieldsEntry{
		Manager: manager, Operation: metav1.ManagedFieldsOperationUpdate, APIVersion: "v1", Time: &at, FieldsType: "FieldsV1", Subresource: subresource,
		FieldsV1: metav1.NewFieldsV1("{" + strings.TrimSuffix(text.String(), ",") + "}"),
	}
}

func spec(n int, app string, random *rand.Rand) corev1.PodSpec {
	probe := func(path string) *corev1.Probe {
		return &corev1.Probe{
			ProbeHandler:  corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Path: path, Port: intstr.FromString("http"), Scheme: "HTTP"}},
			PeriodSeconds: 10, TimeoutSeconds: 1, SuccessThreshold: 1, FailureThreshold: 3,
		}
	}
	mount := corev1.VolumeMount{Name: "kube-api-access-x7k2p", ReadOnly: true, MountPath: "/var/run/secrets/kubernetes.io/serviceaccount"}
	limits := corev1.ResourceRequirements{
		Limits:   corev1.ResourceList{"cpu": resource.MustParse("500m"), "memory": resource.MustParse("512Mi")},
		Requests: corev1.ResourceList{"cpu": resource.MustParse("100m"), "memory": resource.MustParse("256Mi")},
	}
	env := []corev1.EnvVar{
		{Name: "POD_NAME", ValueFrom: &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{APIVersion: "v1", FieldPath: "metadata.name"}}},
		{Name: "DATABASE_HOST", Value: "postgres." + app + ".svc.cluster.local"},
		{Name: "LOG_LEVEL", Value: "info"},
		{Name: "REQUEST_TOKEN", Value: fmt.Sprintf("%016x%016x", random.Uint64(), random.Uint64())},
	}
	return corev1.PodSpec{
		NodeName: fmt.Sprintf("node-%d.eu-central-1.compute.internal", n%170), ServiceAccountName: app, DeprecatedServiceAccount: app,
		RestartPolicy: corev1.RestartPolicyAlways, DNSPolicy: corev1.DNSClusterFirst, SchedulerName: "default-scheduler",
		TerminationGracePeriodSeconds: new(int64(30)), Priority: new(int32(0)), EnableServiceLinks: new(true),
		PreemptionPolicy: new(corev1.PreemptLowerPriority), SecurityContext: &corev1.PodSecurityContext{RunAsNonRoot: new(true), FSGroup: new(int64(1000))},
		Containers: []corev1.Container{
			{
				Name: "app", Image: "registry.example.com/" + app + ":2.14." + fmt.Sprint(n%9), ImagePullPolicy: corev1.PullIfNotPresent, Env: env,
				Ports: []corev1.ContainerPort{{Name: "http", ContainerPort: 8080, Protocol: "TCP"}, {Name: "metrics", ContainerPort: 9090, Protocol: "TCP"}},
				Args:  []string{"--config=/etc/" + app + "/config.yaml", "--listen=:8080"}, Resources: limits, LivenessProbe: probe("/healthz"),
				ReadinessProbe: probe("/readyz"), VolumeMounts: []corev1.VolumeMount{{Name: "config", MountPath: "/etc/" + app}, mount},
				TerminationMessagePath: "/dev/termination-log", TerminationMessagePolicy: corev1.TerminationMessageReadFile,
			},
			{
				Name: "proxy", Image: "registry.example.com/mesh/proxy:1.24.3", ImagePullPolicy: corev1.PullIfNotPresent, Resources: limits,
				VolumeMounts: []corev1.VolumeMount{mount}, TerminationMessagePath: "/dev/termination-log", TerminationMessagePolicy: corev1.TerminationMessageReadFile,
			},
		},
		Tolerations: []corev1.Toleration{
			{Key: "node.kubernetes.io/not-ready", Operator: "Exists", Effect: "NoExecute", TolerationSeconds: new(int64(300))},
			{Key: "node.kubernetes.io/unreachable", Operator: "Exists", Effect: "NoExecute", TolerationSeconds: new(int64(300))},
		},
		Volumes: []corev1.Volume{
			{Name: "config", VolumeSource: corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{
				LocalObjectReference: corev1.LocalObjectReference{Name: app + "-config"}, DefaultMode: new(int32(420)),
			}}},
			{Name: mount.Name, VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{DefaultMode: new(int32(420)), Sources: []corev1.VolumeProjection{
				{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{ExpirationSeconds: new(int64(3607)), Path: "token"}},
				{ConfigMap: &corev1.ConfigMapProjection{LocalObjectReference: corev1.LocalObjectReference{Name: "kube-root-ca.crt"}, Items: []corev1.KeyToPath{{Key: "ca.crt", Path: "ca.crt"}}}},
			}}}},
		},
	}
}

func status(n int, app string, started metav1.Time) corev1.PodStatus {
	ip := fmt.Sprintf("10.%d.%d.%d", n>>16, n>>8&255, n&255)
	s := corev1.PodStatus{
		Phase: corev1.PodRunning, HostIP: fmt.Sprintf("172.16.%d.1", n%170), PodIP: ip, PodIPs: []corev1.PodIP{{IP: ip}}, StartTime: &started,
		HostIPs: []corev1.HostIP{{IP: fmt.Sprintf("172.16.%d.1", n%170)}}, QOSClass: corev1.PodQOSBurstable,
	}
	for _, condition := range []corev1.PodConditionType{"PodReadyToStartContainers", corev1.PodInitialized, corev1.PodReady, corev1.ContainersReady, corev1.PodScheduled} {
		s.Conditions = append(s.Conditions, corev1.PodCondition{Type: condition, Status: corev1.ConditionTrue, LastTransitionTime: started})
	}
	for _, name := range []string{"app", "proxy"} {
		image := "registry.example.com/" + app + ":2.14." + fmt.Sprint(n%9)
		s.ContainerStatuses = append(s.ContainerStatuses, corev1.ContainerStatus{
			Name: name, Ready: true, Started: new(true), Image: image, ImageID: image + "@sha256:" + strings.Repeat(fmt.Sprintf("%08x", n%120), 8),
			ContainerID: "containerd://" + strings.Repeat(fmt.Sprintf("%08x", n), 8), State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: started}},
		})
	}
	return s
}

// Touch changes the status of a Pod, as a restart of a container does.
func Touch(pod *corev1.Pod, times int) {
	for n := range pod.Status.ContainerStatuses {
		pod.Status.ContainerStatuses[n].RestartCount = int32(times)
	}
	for n := range pod.Status.Conditions {
		pod.Status.Conditions[n].LastTransitionTime = metav1.NewTime(epoch.Add(time.Duration(times) * time.Minute))
	}
}
