package config

import "time"

// Settings are what one can say to the server, as it is written. Each has a key in the
// file. Those outside of lists have a flag and an environment variable besides, named
// after the key unless a tag says otherwise: tls.cert is -tls-cert and CARILLON_TLS_CERT.
// Those of an App that have a flag set it for every app.
//
// A setting with the tag reload takes effect when the configuration is read again; all
// others need a restart.
type Settings struct {
	Listen          []string      `key:"listen" flag:"addr" env:"ADDR" help:"where clients connect: host:port or unix:FILE, a comma-separated list"`
	UnixMode        string        `key:"unix_mode" help:"permissions of Unix sockets, in octal"`
	Prefix          string        `key:"prefix" help:"path to serve under, such as /realtime"`
	Admin           string        `key:"admin" help:"host:port or unix:FILE of console and metrics; empty serves neither"`
	AdminToken      string        `key:"admin_token" help:"what one signs in to the console with; without it the admin address has to be of this machine only"`
	Storage         string        `key:"storage" help:"where history and members are kept: memory, or sqlite:FILE, which outlives the process"`
	StorageTimeout  time.Duration `key:"storage_timeout" help:"how long one call of the storage may take"`
	Node            string        `key:"node" help:"name of this server in the storage, for people"`
	TrustedProxies  []string      `key:"trusted_proxies" help:"addresses or CIDR blocks of proxies whose X-Forwarded headers are believed, a comma-separated list; unix is those that connect over a Unix socket"`
	ActivityTimeout time.Duration `key:"activity_timeout" help:"how long a connection may be silent before it is pinged"`
	ShutdownTimeout time.Duration `key:"shutdown_timeout" help:"how long open connections have to end"`
	DrainWindow     time.Duration `key:"drain_window" help:"time over which the end of the connections is spread; by default 1ms a connection, at most 10s"`
	AmendmentNames  Amendments    `key:"amendment_events"`
	CompressFrom    int           `key:"compress_from" flag:"compress" help:"bytes from which on WebSocket messages are compressed for clients that can; 0 compresses none"`
	TLS             TLS           `key:"tls"`
	Log             Log           `key:"log"`
	SQLite          SQLite        `key:"sqlite"`
	Limits          Limits        `key:"limits"`
	RateLimits      []RateLimit   `key:"rate_limits"`
	Channels        []Channel     `key:"channels"`
	Apps            []App         `key:"apps" reload:""`
}

// TLS are the files of the certificate, which are read again when they change.
type TLS struct {
	Cert string `key:"cert" help:"file with the TLS certificate and its chain, PEM"`
	Key  string `key:"key" help:"file with the certificate's key, PEM"`
}

// Log says what is logged, and how.
type Log struct {
	Level  string `key:"level" reload:"" help:"what is logged: debug, info, warn or error"`
	Format string `key:"format" help:"how it is logged: text or json"`
}

// SQLite are options of the storage sqlite.
type SQLite struct {
	BusyTimeout   time.Duration `key:"busy_timeout" help:"how long a write waits for another process"`
	Readers       int           `key:"readers" help:"reads at a time"`
	QueueEvents   int           `key:"queue_events" help:"events that may wait to be written"`
	QueueBytes    int           `key:"queue_bytes" help:"bytes that may wait to be written"`
	ForgetAfter   time.Duration `key:"forget_after" help:"how long the position of a channel without events is remembered"`
	LastSeenLimit int           `key:"last_seen_limit" help:"departures of users that are remembered"`
	Search        bool          `key:"search" help:"have events found by their words, over the HTTP API"`
}

// Amendments are the names of the events that announce edits.
type Amendments struct {
	Edited    string `key:"edited" help:"name of the event that announces an edit"`
	Retracted string `key:"retracted" help:"name of the event that announces a retraction"`
	Appended  string `key:"appended" help:"name of the event that announces what was appended to an event"`
}

// Limits bound what the server takes on.
type Limits struct {
	Connections           int     `key:"connections" flag:"connections" help:"WebSocket connections, of all apps"`
	FallbackSessions      int     `key:"fallback_sessions" flag:"fallback-sessions" help:"sessions over plain HTTP, of all apps"`
	Feeds                 int     `key:"feeds" flag:"feeds" help:"feeds over Server-Sent Events, of all apps"`
	ConnectionsPerAddress int     `key:"connections_per_address" flag:"connections-per-address" help:"open connections of one public address"`
	ConnectionRate        float64 `key:"connections_per_ip" flag:"connections-per-ip" help:"new connections a second and IP address; 0 sets no bound"`
	PublishRate           float64 `key:"publishes_per_second" flag:"publishes-per-second" help:"events a second and app over the HTTP API; 0 sets no bound"`
	SubscribeRate         float64 `key:"subscribes_per_second" flag:"subscribes-per-second" help:"subscriptions a second and connection; 0 sets no bound"`
	QueueMessages         int     `key:"queue_messages" flag:"queue-messages" help:"messages that may wait for one connection"`
	QueueBytes            int     `key:"queue_bytes" flag:"queue-bytes" help:"bytes that may wait for one connection"`
	QueueBudget           int     `key:"queue_budget" flag:"queue-budget" help:"bytes that may wait for all connections together; by default a quarter of the memory"`
	MessageBytes          int     `key:"message_bytes" flag:"message-bytes" help:"bytes of one message from a client; by default as many as the apps' event_bytes need"`
}

// RateLimit is a ratelimit.Rule.
type RateLimit struct {
	Name   string   `key:"name"`
	Action string   `key:"action"`
	Rate   float64  `key:"rate"`
	Burst  int      `key:"burst"`
	By     []string `key:"by"`
	// Cost is what a request takes: one, or its bytes.
	Cost     string   `key:"cost"`
	Channels string   `key:"channels"`
	Apps     []string `key:"apps"`
}

// Channel is a broker.ChannelRule.
type Channel struct {
	Pattern        string        `key:"pattern"`
	App            string        `key:"app"`
	History        int           `key:"history"`
	HistoryAge     time.Duration `key:"history_age"`
	ClientHistory  bool          `key:"client_event_history"`
	Rewind         int           `key:"rewind"`
	Readers        string        `key:"readers"`
	ReachEvents    int           `key:"reach_events"`
	ReachAge       time.Duration `key:"reach_age"`
	CacheTTL       time.Duration `key:"cache_ttl"`
	LeaveGrace     time.Duration `key:"leave_grace"`
	MaxMembers     int           `key:"max_members"`
	MaxSubscribers int           `key:"max_subscribers"`
	Publishers     string        `key:"publishers"`
}

// App is a pusher.App, and the rules of its channels.
type App struct {
	Name           string        `key:"name"`
	ID             string        `key:"id"`
	Key            string        `key:"key"`
	Secret         string        `key:"secret"`
	OtherSecrets   []string      `key:"other_secrets"`
	Enabled        bool          `key:"enabled" flag:"enabled" help:"serve the apps; false refuses all connections and requests"`
	RequireTLS     bool          `key:"require_tls" flag:"require-tls" help:"refuse connections that are not encrypted"`
	MaxConnections int           `key:"max_connections" flag:"max-connections" help:"connections of an app; 0 sets no bound"`
	Origins        []string      `key:"origins" flag:"origins" help:"pages that may connect: a comma-separated list of patterns, or * for all; empty allows pages of the host they connect to"`
	Hosts          []string      `key:"hosts" flag:"hosts" help:"names under which clients reach the server, a comma-separated list of host[:port]: their pages may connect as well, and SockJS needs them where origins are set"`
	AuthTimeout    time.Duration `key:"authorization_timeout" flag:"authorization-timeout" help:"close connections that have authorized nothing by then; 0 never does"`
	ClientEvents   bool          `key:"client_events" flag:"client-events" help:"take events that clients send to each other"`
	Counts         bool          `key:"subscription_counts" flag:"subscription-counts" help:"tell subscribers how many there are"`
	MasterKey      string        `key:"encryption_master_key" flag:"encryption-master-key" env:"PUSHER_ENCRYPTION_MASTER_KEY_BASE64" help:"key of encrypted channels, 32 bytes in base64"`
	Limits         AppLimits     `key:"limits"`
	Webhooks       []Webhook     `key:"webhooks"`
	Channels       []Channel     `key:"channels"`
}

// AppLimits are pusher.Limits. Negative values of the rates set no bound.
type AppLimits struct {
	EventBytes                      int `key:"event_bytes" flag:"event-bytes" help:"bytes of an event's data, up to 1048576"`
	EventNameChars                  int `key:"event_name_chars"`
	ChannelsPerEvent                int `key:"channels_per_event"`
	EventsPerBatch                  int `key:"events_per_batch"`
	PresenceMembers                 int `key:"presence_members" flag:"presence-members" help:"members of one presence channel"`
	UserInfoBytes                   int `key:"user_info_bytes"`
	Watchlist                       int `key:"watchlist"`
	ClientEventsPerSecond           int `key:"client_events_per_second" flag:"client-events-per-second" help:"events that one connection sends to others; negative sets no bound"`
	RequestBytes                    int `key:"request_bytes"`
	ChannelsPerConnection           int `key:"channels_per_connection"`
	AuthorizedChannelsPerConnection int `key:"authorized_channels_per_connection"`
	SubscribesPerSecond             int `key:"subscribes_per_second"`
	MessagesPerSecond               int `key:"messages_per_second"`
	PastBytesPerSecond              int `key:"past_bytes_per_second"`
	UnreadAnswerBytes               int `key:"unread_answer_bytes"`
}

// Webhook is a pusher.Webhook.
type Webhook struct {
	URL           string            `key:"url"`
	Events        []string          `key:"events"`
	ChannelPrefix string            `key:"channel_prefix"`
	Batch         bool              `key:"batch"`
	Headers       map[string]string `key:"headers"`
}

// LocalOrigins are the pages that may connect to an app without origins: those of
// programs on this machine.
func LocalOrigins() []string {
	return []string{"http://localhost", "http://localhost:*", "http://127.0.0.1", "http://127.0.0.1:*",
		"https://localhost", "https://localhost:*", "https://127.0.0.1", "https://127.0.0.1:*"}
}
