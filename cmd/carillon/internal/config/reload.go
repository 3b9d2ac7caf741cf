package config

import "reflect"

// NeedRestart returns the keys of the settings that have changed and do not take effect
// in a server that runs.
func NeedRestart(old, now *Config) (keys []string) {
	var compare func(a, b reflect.Value, path string)
	compare = func(a, b reflect.Value, path string) {
		fieldsOf(a, func(key string, field reflect.StructField, v reflect.Value) {
			other := b.FieldByIndex(field.Index)
			key = join(path, key)
			if _, reloads := field.Tag.Lookup("reload"); reloads {
				return
			}
			switch {
			case v.Kind() == reflect.Struct:
				compare(v, other, key)
			case key == "channels":
				// Those of the apps among them, in the form that the server has them.
				if !reflect.DeepEqual(old.ChannelRules, now.ChannelRules) {
					keys = append(keys, key)
				}
			case !reflect.DeepEqual(v.Interface(), other.Interface()):
				keys = append(keys, key)
			}
		})
	}
	compare(reflect.ValueOf(&old.Settings).Elem(), reflect.ValueOf(&now.Settings).Elem(), "")
	if old.ReadBytes() < now.ReadBytes() {
		keys = append(keys, "limits.message_bytes, for the event_bytes of an app")
	}
	return keys
}

// With returns a configuration of a server that runs: now's, as far as it has taken
// effect.
func (c *Config) With(now *Config) *Config {
	with := *c
	with.Apps, with.PusherApps, with.Log.Level = now.Apps, now.PusherApps, now.Log.Level
	with.readBytes = c.ReadBytes()
	return &with
}
