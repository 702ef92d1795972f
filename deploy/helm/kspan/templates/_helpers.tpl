{{- define "kspan.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end }}

{{- define "kspan.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 63 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end }}

{{- /* Cluster-wide objects of two releases in different namespaces must not have the same name. */ -}}
{{- define "kspan.clusterName" -}}
{{- $name := include "kspan.fullname" . -}}
{{- if eq $name .Release.Namespace -}}{{ $name }}{{- else -}}{{ printf "%s-%s" .Release.Namespace $name }}{{- end -}}
{{- end }}

{{- define "kspan.selectorLabels" -}}
app.kubernetes.io/name: {{ include "kspan.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "kspan.labels" -}}
{{ include "kspan.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{- define "kspan.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "kspan.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end }}

{{- define "kspan.image" -}}
{{- with .Values.image.registry }}{{ . }}/{{ end }}{{ .Values.image.repository }}
{{- if .Values.image.digest }}@{{ .Values.image.digest }}{{ else }}:{{ default .Chart.AppVersion .Values.image.tag }}{{ end }}
{{- end }}

{{- define "kspan.scheme" -}}
{{- if .Values.tls.existingSecret }}HTTPS{{ else }}HTTP{{ end -}}
{{- end }}

{{- define "kspan.args" -}}
- run
{{- if .Values.config }}
- --config=/etc/kspan/config/config.toml
{{- end }}
{{- if not .Values.existingSecret }}
- --db=sqlite:////var/lib/kspan/kspan.sqlite
{{- end }}
{{- range .Values.export }}
- {{ printf "--export=%s" . | quote }}
{{- end }}
- {{ printf "--retention=%s" .Values.retention | quote }}
- --listen=0.0.0.0:8474
- --auth={{ .Values.auth.mode }}
{{- if eq .Values.auth.mode "token" }}
- --auth-token-file=/etc/kspan/token/token
{{- else if eq .Values.auth.mode "none" }}
- --insecure-no-auth
{{- else }}
- --authorize={{ .Values.auth.authorize }}
{{- end }}
{{- if .Values.serveSql }}
- --serve-sql
{{- end }}
{{- if .Values.tls.existingSecret }}
- --tls-cert=/etc/kspan/tls/tls.crt
- --tls-key=/etc/kspan/tls/tls.key
{{- end }}
{{- with .Values.clusterName }}
- {{ printf "--cluster-name=%s" . | quote }}
{{- end }}
{{- if not .Values.rbac.additionalKinds }}
- --no-additional-kinds
{{- end }}
{{- range .Values.extraArgs }}
- {{ . | quote }}
{{- end }}
{{- end }}

{{- /* JSON of a string, number, boolean or list is TOML, too. */ -}}
{{- define "kspan.toml" -}}
{{- range $key, $value := .Values.config }}
{{- if not (kindIs "map" $value) }}
{{ toJson $key }} = {{ toJson $value }}
{{- end }}
{{- end }}
{{- range $table, $values := .Values.config }}
{{- if kindIs "map" $values }}
[{{ toJson $table }}]
{{- range $key, $value := $values }}
{{ toJson $key }} = {{ toJson $value }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
