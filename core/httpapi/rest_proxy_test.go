package httpapi

import (
	"strings"
	"testing"
)

const proxyBody = `{"name":"hub","online":true,"storage":{"blobStoreName":"default","strictContentTypeValidation":true},` +
	`"proxy":{"remoteUrl":"https://registry.test","contentMaxAge":-1,"metadataMaxAge":60},"negativeCache":{"enabled":false,"timeToLive":5},` +
	`"httpClient":{"blocked":true,"autoBlock":false,"connection":{"retries":0,"userAgentSuffix":"x","timeout":3600,` +
	`"enableCircularRedirects":true,"enableCookies":true,"useTrustStore":true},` +
	`"authentication":{"type":"username","username":"jane","password":"hidden","preemptive":false}},` +
	`"routingRule":"","docker":{"v1Enabled":false,"forceBasicAuth":false,"httpPort":8084},` +
	`"dockerProxy":{"indexType":"custom","indexUrl":"https://index.test","cacheForeignLayers":true,"foreignLayerUrlWhitelist":[".*"]},` +
	`"format":"x","type":"y","url":"z"}`

const proxySettingsShown = `{"name":"hub","format":"docker","type":"proxy","url":"http://nexus.test/repository/hub","online":true,` +
	`"storage":{"blobStoreName":"default","strictContentTypeValidation":true},"cleanup":null,` +
	`"proxy":{"remoteUrl":"https://registry.test","contentMaxAge":-1,"metadataMaxAge":60},"negativeCache":{"enabled":false,"timeToLive":5},` +
	`"httpClient":{"blocked":true,"autoBlock":false,"connection":{"retries":0,"userAgentSuffix":"x","timeout":3600,` +
	`"enableCircularRedirects":true,"enableCookies":true,"useTrustStore":true},` +
	`"authentication":{"type":"username","username":"jane","ntlmHost":null,"ntlmDomain":null,"preemptive":false}},` +
	`"routingRuleName":null,"replication":null,` +
	`"docker":{"v1Enabled":false,"forceBasicAuth":false,"httpPort":8084,"httpsPort":null,"subdomain":null,"pathEnabled":null},` +
	`"dockerProxy":{"indexType":"CUSTOM","indexUrl":"https://index.test","cacheForeignLayers":true,"foreignLayerUrlWhitelist":[".*"]}}`

// Least is what must be sent; the answer has all the rest: a connection of nulls, which clients count on, and no authentication.
const (
	leastProxy = `{"name":"least","storage":{"blobStoreName":"default","strictContentTypeValidation":false},` +
		`"proxy":{"remoteUrl":"https://registry.test"},"docker":{"v1Enabled":false},"dockerProxy":{"indexType":"REGISTRY"}}`
	leastShown = `{"name":"least","format":"docker","type":"proxy","url":"http://nexus.test/repository/least","online":true,` +
		`"storage":{"blobStoreName":"default","strictContentTypeValidation":false},"cleanup":null,` +
		`"proxy":{"remoteUrl":"https://registry.test","contentMaxAge":1440,"metadataMaxAge":1440},"negativeCache":{"enabled":true,"timeToLive":1440},` +
		`"httpClient":{"blocked":false,"autoBlock":true,"connection":{"retries":null,"userAgentSuffix":null,"timeout":null,` +
		`"enableCircularRedirects":false,"enableCookies":false,"useTrustStore":false},"authentication":null},` +
		`"routingRuleName":null,"replication":null,` +
		`"docker":{"v1Enabled":false,"forceBasicAuth":true,"httpPort":null,"httpsPort":null,"subdomain":null,"pathEnabled":null},` +
		`"dockerProxy":{"indexType":"REGISTRY","indexUrl":null,"cacheForeignLayers":null,"foreignLayerUrlWhitelist":[]}}`
)

func TestProxySettings(t *testing.T) {
	const path = "/v1/repositories/docker/proxy"
	w := newWired(t)
	nulls := edit(leastProxy, `"docker":`, `"negativeCache":null,"httpClient":null,"routingRuleName":null,"replication":null,"cleanup":null,"docker":`)
	anotherName := edit(leastProxy, "least", "another")
	authentication := func(object string) string {
		return edit(anotherName, `"docker":`, `"httpClient":{"authentication":`+object+`},"docker":`)
	}
	connection := func(object string) string {
		return edit(anotherName, `"docker":`, `"httpClient":{"connection":`+object+`},"docker":`)
	}
	missing := `"Repository not found"`
	tests := []struct {
		name, user, method, path, body string
		status                         int
		want                           string
	}{
		{"get what is missing", admin, "GET", path + "/hub", "", 404, missing},
		{"without rights", powerless, "POST", path, proxyBody, 403, isFault},
		{"anonymously", anonymously, "POST", path, proxyBody, 401, isFault},
		{"all", contributor, "POST", path, proxyBody, 201, ""},
		{"get", admin, "GET", path + "/hub", "", 200, proxySettingsShown},
		{"get without rights", powerless, "GET", path + "/hub", "", 403, isFault},
		{"get as hosted", admin, "GET", "/v1/repositories/docker/hosted/hub", "", 404, missing},
		{"get as group", admin, "GET", "/v1/repositories/docker/group/hub", "", 404, missing},
		{"get as raw", admin, "GET", "/v1/repositories/raw/proxy/hub", "", 404, missing},
		{"twice", admin, "POST", path, edit(proxyBody, "hub", "HUB"), 400, violationsOf("name", "Name is already used, must be unique (ignoring case)")},
		{"least", admin, "POST", path, leastProxy, 201, ""},
		{"get least", admin, "GET", path + "/least", "", 200, leastShown},
		{"with nulls", admin, "PUT", path + "/least", nulls, 204, ""},
		{"get with nulls", admin, "GET", path + "/least", "", 200, leastShown},
		{"what was read is taken back", admin, "PUT", path + "/least", leastShown, 204, ""},
		{"get what was taken back", admin, "GET", path + "/least", "", 200, leastShown},
		{"authentication of nulls", admin, "PUT", path + "/least", edit(leastShown, `"authentication":null`,
			`"authentication":{"type":"username","username":"jane","password":null,"ntlmHost":null,"ntlmDomain":null,"preemptive":null}`), 204, ""},
		{"get authentication of nulls", admin, "GET", path + "/least", "", 200, edit(leastShown, `"authentication":null`,
			`"authentication":{"type":"username","username":"jane","ntlmHost":null,"ntlmDomain":null,"preemptive":null}`)},
		{"cleanup", admin, "PUT", path + "/least", edit(leastProxy, `"docker":`, `"cleanup":{"policyNames":["weekly"]},"docker":`), 204, ""},
		{"get cleanup", admin, "GET", path + "/least", "", 200, edit(leastShown, `"cleanup":null`, `"cleanup":{"policyNames":["weekly"]}`)},
		{"cleanup left out", admin, "PUT", path + "/least", leastProxy, 204, ""},
		{"get without cleanup", admin, "GET", path + "/least", "", 200, leastShown},
		{"update what is missing", admin, "PUT", path + "/another", anotherName, 404, missing},
		{"another name", admin, "PUT", path + "/least", anotherName, 400, violationsOf("name", "Renaming a repository is not supported")},
		{"update as contributor", contributor, "PUT", path + "/least", leastProxy, 403, isFault},
		{"nothing", admin, "POST", path, `{}`, 400, violationsOf("docker", "must not be null", "dockerProxy", "must not be null", "name", "must not be null",
			"proxy", "must not be null", "storage", "must not be null")},
		{"no blob store", admin, "POST", path, edit(anotherName, "default", "none"), 400, violationsOf("BlobStoreName", `Blob store "none" does not exist`)},
		{"no remote URL", admin, "POST", path, edit(anotherName, "https://registry.test", ""), 400, violationsOf("proxy.remoteUrl", "must not be empty")},
		{"remote URL of a file", admin, "POST", path, edit(anotherName, "https", "file"), 400,
			violationsOf("proxy.remoteUrl", "remote URL must be of the form http://host/path or https://host/path")},
		{"remote URL with a password", admin, "POST", path, edit(anotherName, "https://", "https://jane:hidden@"), 400,
			violationsOf("proxy.remoteUrl", "remote URL must not contain credentials: use the authentication settings")},
		{"remote URL that is none", admin, "POST", path, edit(anotherName, "https://", "https://jane:hidden@%"), 400,
			violationsOf("proxy.remoteUrl", "the remote URL is not a URL")},
		{"age is text", admin, "POST", path, edit(anotherName, `"remoteUrl":`, `"contentMaxAge":"1","remoteUrl":`), 400,
			violationsOf("proxy.contentMaxAge", "value must be an integer")},
		{"age is too large a number", admin, "POST", path, edit(anotherName, `"remoteUrl":`, `"contentMaxAge":1e30,"remoteUrl":`), 400, ""},
		{"age is below for ever", admin, "POST", path, edit(anotherName, `"remoteUrl":`, `"contentMaxAge":-2,"remoteUrl":`), 400,
			violationsOf("proxy.contentMaxAge", "a time is in minutes, or -1 for ever")},
		{"age of metadata is below for ever", admin, "POST", path, edit(anotherName, `"remoteUrl":`, `"metadataMaxAge":-2,"remoteUrl":`), 400,
			violationsOf("proxy.metadataMaxAge", "a time is in minutes, or -1 for ever")},
		{"absences are remembered below for ever", admin, "POST", path, edit(anotherName, `"proxy":`, `"negativeCache":{"enabled":true,"timeToLive":-5},"proxy":`), 400,
			violationsOf("negativeCache.timeToLive", "a time is in minutes, or -1 for ever")},
		{"remote URL with a query", admin, "POST", path, edit(anotherName, "registry.test", "registry.test/?a=b"), 400,
			violationsOf("proxy.remoteUrl", "remote URL must have no query and no fragment: paths are put behind it")},
		{"remote URL with a fragment", admin, "POST", path, edit(anotherName, "registry.test", "registry.test/#a"), 400,
			violationsOf("proxy.remoteUrl", "remote URL must have no query and no fragment: paths are put behind it")},
		{"retries", admin, "POST", path, connection(`{"retries":11}`), 400, violationsOf("httpClient.connection.retries", "number must be at most 10")},
		{"timeout", admin, "POST", path, connection(`{"timeout":0}`), 400, violationsOf("httpClient.connection.timeout", "number must be at least 1")},
		{"agent with a line break", admin, "POST", path, connection(`{"userAgentSuffix":"a\nb"}`), 400,
			violationsOf("httpClient.connection.userAgentSuffix", "user agent suffix must be at most 256 bytes long, without control characters")},
		{"trust store without TLS", admin, "POST", path, edit(connection(`{"useTrustStore":true}`), "https", "http"), 400,
			violationsOf("httpClient.connection.useTrustStore", "the trust store can be used with an https remote URL only")},
		{"NTLM", admin, "POST", path, authentication(`{"type":"ntlm","username":"jane","password":"hidden","ntlmHost":"h"}`), 400, ""},
		{"authentication without type", admin, "POST", path, authentication(`{"username":"jane"}`), 400,
			violationsOf("httpClient.authentication.type", "must not be null")},
		{"authentication of another type", admin, "POST", path, authentication(`{"type":"x"}`), 400,
			violationsOf("httpClient.authentication.type", "authentication type must be username or bearerToken")},
		{"authentication without user", admin, "POST", path, authentication(`{"type":"username","password":"hidden"}`), 400,
			violationsOf("httpClient.authentication.username", "username must not be empty")},
		{"token missing", admin, "POST", path, authentication(`{"type":"bearerToken"}`), 400,
			violationsOf("httpClient.authentication.bearerToken", "bearer token must not be empty")},
		{"token with a space", admin, "POST", path, authentication(`{"type":"bearerToken","bearerToken":"hidden hidden"}`), 400,
			violationsOf("httpClient.authentication.bearerToken", "bearer token must not contain spaces or control characters")},
		{"password of another type", admin, "POST", path, authentication(`{"type":"username","username":"jane","password":["hidden"]}`), 400,
			violationsOf("httpClient.authentication.password", "value must be a string")},
		{"index of another type", admin, "POST", path, edit(anotherName, "REGISTRY", "NONE"), 400,
			violationsOf("dockerProxy.indexType", `index type must be HUB, REGISTRY or CUSTOM, not "NONE"`)},
		{"custom index without URL", admin, "POST", path, edit(anotherName, "REGISTRY", "CUSTOM"), 400,
			violationsOf("dockerProxy.indexUrl", "an index of type CUSTOM needs a URL")},
		{"bad port", admin, "POST", path, edit(anotherName, `"v1Enabled":false`, `"v1Enabled":false,"httpPort":0`), 400,
			violationsOf("docker.httpPort", "number must be at least 1")},
		{"list", admin, "GET", "/v1/repositories", "", 200,
			`[{"attributes":{"proxy":{"remoteUrl":"https://registry.test"}},"format":"docker","name":"hub","online":true,"type":"proxy","url":"http://nexus.test/repository/hub"},` +
				`{"attributes":{"proxy":{"remoteUrl":"https://registry.test"}},"format":"docker","name":"least","online":true,"type":"proxy","url":"http://nexus.test/repository/least"}]`},
		{"list settings", admin, "GET", "/v1/repositorySettings", "", 200, "[" + proxySettingsShown + "," + leastShown + "]"},
		{"delete", admin, "DELETE", "/v1/repositories/hub", "", 204, ""},
		{"get what was deleted", admin, "GET", path + "/hub", "", 404, missing},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := w.in(t).do(tt.user, tt.method, tt.path, tt.body, "Host", "nexus.test")
			if got.StatusCode != tt.status {
				t.Errorf("status is %d, not %d: %s", got.StatusCode, tt.status, got.body)
			}
			if tt.want != "" || tt.status < 300 && tt.method != "GET" {
				checkBody(t, got, tt.want)
			}
			checkHeaders(t, got)
			if strings.Contains(got.body, "hidden") {
				t.Errorf("a secret is told: %s", got.body)
			}
		})
	}
	if strings.Contains(w.record.String(), "hidden") {
		t.Errorf("a secret is in the log: %s", w.record)
	}
}

func TestRawProxySettings(t *testing.T) {
	const path = "/v1/repositories/raw/proxy"
	w := newWired(t)
	body := `{"name":"mirror","storage":{"blobStoreName":"default","strictContentTypeValidation":true},"proxy":{"remoteUrl":"http://files.test/pub"},` +
		`"raw":{"contentDisposition":"inline","forwardQueryParameters":true}}`
	shown := `{"name":"mirror","format":"raw","type":"proxy","url":"http://nexus.test/repository/mirror","online":true,` +
		`"storage":{"blobStoreName":"default","strictContentTypeValidation":true},"cleanup":null,` +
		`"proxy":{"remoteUrl":"http://files.test/pub","contentMaxAge":1440,"metadataMaxAge":1440},"negativeCache":{"enabled":true,"timeToLive":1440},` +
		`"httpClient":{"blocked":false,"autoBlock":true,"connection":{"retries":null,"userAgentSuffix":null,"timeout":null,` +
		`"enableCircularRedirects":false,"enableCookies":false,"useTrustStore":false},"authentication":null},` +
		`"routingRuleName":null,"replication":null,"raw":{"contentDisposition":"INLINE","forwardQueryParameters":true}}`
	w.want(t, 201, "", "POST", path, body)
	w.want(t, 200, shown, "GET", path+"/mirror", "")
	w.want(t, 204, "", "PUT", path+"/mirror", edit(body, `"inline"`, "null"))
	w.want(t, 200, edit(shown, "INLINE", "ATTACHMENT"), "GET", path+"/mirror", "")
	w.want(t, 400, violationsOf("raw.contentDisposition", `contentDisposition must be ATTACHMENT or INLINE, not "BOTH"`), "PUT", path+"/mirror", edit(body, "inline", "both"))
	w.restart(t)
	w.want(t, 200, edit(shown, "INLINE", "ATTACHMENT"), "GET", path+"/mirror", "")
}

// Secrets are used and never told, and a change that does not repeat a password loses it.
func TestSecrets(t *testing.T) {
	const path = "/v1/repositories/raw/proxy"
	w, up := newWired(t), newOrigin(t)
	up.account.Store("jane:hidden-password")
	client := `{"autoBlock":false,"connection":{"retries":0},"authentication":{"type":"username","username":"jane","password":"hidden-password"}}`
	w.want(t, 201, "", "POST", path, up.rawProxy("mirror", "", client))
	w.want(t, 201, "", "POST", path, up.rawProxy("token", "", `{"authentication":{"type":"bearerToken","bearerToken":"hidden-token"}}`))
	w.want(t, 200, "at /a", "GET", "/repository/mirror/a", "")
	w.recorded(t, "mirror", "a")
	w.restart(t)
	w.want(t, 200, "at /b", "GET", "/repository/mirror/b", "")
	w.want(t, 503, "", "GET", "/repository/token/a", "")
	shown := w.want(t, 200, "", "GET", path+"/mirror", "").body
	if !strings.Contains(shown, `"username":"jane"`) {
		t.Errorf("shown is %s", shown)
	}
	pages := []string{path + "/mirror", path + "/token", "/v1/repositories", "/v1/repositories/mirror", "/v1/repositorySettings",
		"/api/v1/repositories/mirror/upstream", "/api/v1/repositories/token/upstream", "/", "/service/rest/repository/browse/mirror/"}
	for _, page := range pages {
		if got := w.want(t, 200, "", "GET", page, "").body; strings.Contains(got, "hidden") {
			t.Errorf("%s tells a secret: %s", page, got)
		}
	}
	w.want(t, 204, "", "PUT", path+"/mirror", shown)
	w.want(t, 503, "", "GET", "/repository/mirror/c", "")
	w.want(t, 200, "at /a", "GET", "/repository/mirror/a", "")
	if strings.Contains(w.record.String(), "hidden") {
		t.Errorf("a secret is in the log: %s", w.record)
	}
}
