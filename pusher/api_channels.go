package pusher

import (
	"context"
	"math"
	"net/url"
	"slices"

	"github.com/carillon-rt/carillon/broker"
)

// channelInfo is what a backend is told of a channel: what it has asked for.
type channelInfo struct {
	Occupied          *bool       `json:"occupied,omitempty"`
	UserCount         *int        `json:"user_count,omitempty"`
	SubscriptionCount *int        `json:"subscription_count,omitempty"`
	Cache             *cachedInfo `json:"cache,omitempty"`
	ID                string      `json:"id,omitempty"`
	Position          string      `json:"position,omitempty"`
}

type cachedInfo struct {
	Data string `json:"data"`
	// TTL is in seconds.
	TTL int `json:"ttl"`
}

// describe returns of each channel the attributes that are asked for and apply to it.
func (r *apiRequest) describe(channels []string, attributes func(i int) []string) ([]channelInfo, error) {
	infos, err := r.app.Describe(r.Context(), channels...)
	if err != nil {
		return nil, err
	}
	out := make([]channelInfo, len(infos))
	for i, info := range infos {
		out[i] = attributesOf(info, attributes(i))
	}
	return out, nil
}

func attributesOf(info broker.ChannelInfo, attributes []string) (out channelInfo) {
	if slices.Contains(attributes, "subscription_count") {
		out.SubscriptionCount = &info.SubscriptionCount
	}
	if slices.Contains(attributes, "user_count") && isPresence(info.Name) {
		out.UserCount = &info.UserCount
	}
	return out
}

func isPresence(channel string) bool { return broker.KindOf(channel).Base() == broker.Presence }

// channels serves GET /channels.
func (r *apiRequest) channels() (any, error) {
	attributes, err := parseInfo(r.query.Get("info"), "user_count", "subscription_count")
	if err != nil {
		return nil, err
	}
	prefix := r.query.Get("filter_by_prefix")
	if slices.Contains(attributes, "user_count") && !isPresence(prefix) {
		return nil, badRequest("info user_count needs a filter_by_prefix that starts with presence-")
	}
	described := make(map[string]channelInfo)
	for info, err := range r.app.Channels(r.Context(), prefix) {
		if err != nil {
			return nil, err
		}
		described[info.Name] = attributesOf(info, attributes)
	}
	return struct {
		Channels map[string]channelInfo `json:"channels"`
	}{described}, nil
}

// channel serves GET /channels/{name}.
func (r *apiRequest) channel(name string) (any, error) {
	name, err := pathName(name, "channel")
	if err != nil {
		return nil, err
	}
	attributes, err := parseInfo(r.query.Get("info"), "user_count", "subscription_count", "cache")
	if err != nil {
		return nil, err
	}
	if slices.Contains(attributes, "user_count") && !isPresence(name) {
		return nil, badRequest("info user_count is for presence channels only, %q is none", name)
	}
	info, err := r.app.Channel(r.Context(), name)
	if err != nil {
		return nil, err
	}
	out := attributesOf(info, attributes)
	out.Occupied = &info.Occupied
	if slices.Contains(attributes, "cache") {
		ev, ttl, ok, err := r.app.Cached(r.Context(), name)
		if err != nil {
			return nil, err
		}
		if ok {
			out.Cache = &cachedInfo{Data: string(ev.Data), TTL: int(math.Ceil(ttl.Seconds()))}
		}
	}
	return out, nil
}

// users serves GET /channels/{name}/users.
func (r *apiRequest) users(channel string) (any, error) {
	channel, err := pathName(channel, "channel")
	if err != nil {
		return nil, err
	}
	if !isPresence(channel) {
		return nil, badRequest("channel %q is not a presence channel: only those have users", channel)
	}
	members, err := r.app.Members(r.Context(), channel)
	if err != nil {
		return nil, err
	}
	type user struct {
		ID string `json:"id"`
	}
	users := make([]user, len(members))
	for i, m := range members {
		users[i].ID = m.UserID
	}
	return struct {
		Users []user `json:"users"`
	}{users}, nil
}

// connections serves GET /connections, as Laravel Reverb does: how many the app has on
// this node.
func (r *apiRequest) connections() (any, error) {
	return struct {
		Connections int `json:"connections"`
	}{r.app.SessionCount()}, nil
}

// terminate serves POST /users/{id}/terminate_connections.
func (r *apiRequest) terminate(userID string) (any, error) {
	userID, err := pathName(userID, "user_id")
	if err != nil {
		return nil, err
	}
	// To the end, also if the backend has hung up.
	if _, err := r.app.TerminateUser(context.WithoutCancel(r.Context()), userID); err != nil {
		return nil, err
	}
	return empty{}, nil
}

// pathName decodes a name that is part of a path.
func pathName(escaped, field string) (string, error) {
	name, err := url.PathUnescape(escaped)
	if err != nil {
		return "", badRequest("%s %q is not valid percent-encoding", field, escaped)
	}
	return name, nil
}
