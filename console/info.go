package console

import (
	"maps"
	"runtime"
	"runtime/debug"
	"slices"
)

// appInfo is an app as the lists of apps have it.
type appInfo struct {
	ID       string `json:"id"`
	Name     string `json:"name,omitempty"`
	Sessions int    `json:"sessions"`
	CanCurl  bool   `json:"canCurl"`
}

type storeInfo struct {
	Kind    string `json:"kind"`
	Durable bool   `json:"durable"`
	Shared  bool   `json:"shared"`
	Search  bool   `json:"search"`
	Amend   bool   `json:"amend"`
}

// info describes what the console shows.
func (c *Console) info(k *call) (any, error) {
	store := k.broker.Store()
	return struct {
		Version   string     `json:"version"`
		GoVersion string     `json:"goVersion"`
		Started   int64      `json:"started"`
		Apps      []appInfo  `json:"apps"`
		Store     storeInfo  `json:"store"`
		Redacted  []string   `json:"redacted"`
		ReadOnly  bool       `json:"readOnly"`
		Limits    jsonLimits `json:"limits"`
	}{
		version(), runtime.Version(), millis(c.started), c.appInfos(k),
		storeInfo{store.Name, store.Durable, store.Shared, store.Search, store.Amend},
		c.redact.names(), c.readOnly, c.limits.json(),
	}, nil
}

// appInfos lists the apps that the program has named, and those that have sessions.
func (c *Console) appInfos(k *call) []appInfo {
	named := *c.apps.Load()
	ids := slices.AppendSeq(k.broker.Apps(), maps.Keys(named))
	slices.SortFunc(ids, compareNames)
	ids = slices.Compact(ids)
	infos := make([]appInfo, len(ids))
	for i, id := range ids {
		app := named[id]
		infos[i] = appInfo{id, app.Name, k.broker.App(id).SessionCount(), app.signs() && !c.readOnly}
	}
	return infos
}

// version is that of the module that has this package, or of the program.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	for _, m := range info.Deps {
		if m.Path == "github.com/carillon-rt/carillon/console" {
			return m.Version
		}
	}
	return info.Main.Version
}

// jsonLimits are the limits that the page tells people.
type jsonLimits struct {
	Events       int     `json:"events"`
	EventBytes   int     `json:"eventBytes"`
	DataBytes    int     `json:"dataBytes"`
	Webhooks     int     `json:"webhooks"`
	Armed        int     `json:"armed"`
	ArmedMs      float64 `json:"armedMs"`
	TracedEvents int     `json:"tracedEvents"`
	Viewers      int     `json:"viewers"`
}

func (l Limits) json() jsonLimits {
	return jsonLimits{l.Events, l.EventBytes, l.DataBytes, l.Webhooks, l.Armed, ms(l.ArmedTime), l.TracedEvents, l.Viewers}
}
