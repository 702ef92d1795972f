{{- define "kspan.pod" -}}
metadata:
  labels:
    {{- include "kspan.selectorLabels" . | nindent 4 }}
    {{- with .Values.podLabels }}{{ toYaml . | nindent 4 }}{{ end }}
  annotations:
    {{- with .Values.podAnnotations }}{{ toYaml . | nindent 4 }}{{ end }}
    {{- if .Values.config }}
    checksum/config: {{ include "kspan.toml" . | sha256sum }}
    {{- end }}
spec:
  serviceAccountName: {{ include "kspan.serviceAccount" . }}
  automountServiceAccountToken: true
  # Otherwise the Service "kspan" would add KSPAN_PORT and similar variables, which kspan would read as settings.
  enableServiceLinks: false
  # kspan commits what it has received and stops within 10 s.
  terminationGracePeriodSeconds: 20
  {{- with .Values.imagePullSecrets }}
  imagePullSecrets: {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.priorityClassName }}
  priorityClassName: {{ . }}
  {{- end }}
  securityContext: {{- toYaml .Values.podSecurityContext | nindent 4 }}
  containers:
    - name: kspan
      image: {{ include "kspan.image" . }}
      imagePullPolicy: {{ .Values.image.pullPolicy }}
      args: {{- include "kspan.args" . | nindent 8 }}
      env:
        - name: OTEL_EXPORTER_OTLP_ENDPOINT
          value: {{ .Values.otlpEndpoint | quote }}
        {{- if .Values.existingSecret }}
        - name: KSPAN_DB
          valueFrom:
            secretKeyRef:
              name: {{ .Values.existingSecret }}
              key: {{ .Values.existingSecretKey }}
        {{- end }}
        {{- with .Values.extraEnv }}{{ toYaml . | nindent 8 }}{{ end }}
      {{- with .Values.extraEnvFrom }}
      envFrom: {{- toYaml . | nindent 8 }}
      {{- end }}
      ports:
        - name: http
          containerPort: 8474
      # At the first start, the migrations run before the port is open.
      startupProbe:
        httpGet: {path: /healthz, port: http, scheme: {{ include "kspan.scheme" . }}}
        periodSeconds: 2
        failureThreshold: 60
      livenessProbe:
        httpGet: {path: /healthz, port: http, scheme: {{ include "kspan.scheme" . }}}
        periodSeconds: 10
        timeoutSeconds: 5
        failureThreshold: 6
      {{- if .Values.existingSecret }}
      # A replica that waits to take over is not ready to watch, but it answers questions. If it counted as unavailable, the
      # PodDisruptionBudget would never let the writer go.
      {{- end }}
      readinessProbe:
        httpGet: {path: {{ if .Values.existingSecret }}/healthz{{ else }}/readyz{{ end }}, port: http, scheme: {{ include "kspan.scheme" . }}}
        periodSeconds: 5
        timeoutSeconds: 5
      resources: {{- toYaml .Values.resources | nindent 8 }}
      securityContext: {{- toYaml .Values.securityContext | nindent 8 }}
      volumeMounts:
        - name: data
          mountPath: /var/lib/kspan
        - name: tmp
          mountPath: /tmp
        {{- if .Values.config }}
        - name: config
          mountPath: /etc/kspan/config
          readOnly: true
        {{- end }}
        {{- if eq .Values.auth.mode "token" }}
        - name: token
          mountPath: /etc/kspan/token
          readOnly: true
        {{- end }}
        {{- if .Values.tls.existingSecret }}
        - name: tls
          mountPath: /etc/kspan/tls
          readOnly: true
        {{- end }}
        {{- with .Values.extraVolumeMounts }}{{ toYaml . | nindent 8 }}{{ end }}
  volumes:
    - name: tmp
      emptyDir:
        sizeLimit: 64Mi
    {{- if or .Values.existingSecret (not .Values.persistence.enabled) }}
    - name: data
      emptyDir: {}
    {{- else if .Values.persistence.existingClaim }}
    - name: data
      persistentVolumeClaim:
        claimName: {{ .Values.persistence.existingClaim }}
    {{- end }}
    {{- if .Values.config }}
    - name: config
      configMap:
        name: {{ include "kspan.fullname" . }}
    {{- end }}
    {{- if eq .Values.auth.mode "token" }}
    - name: token
      secret:
        secretName: {{ required "auth.existingSecret: the mode token needs a Secret with the token" .Values.auth.existingSecret }}
        items:
          - key: {{ .Values.auth.existingSecretKey }}
            path: token
    {{- end }}
    {{- with .Values.tls.existingSecret }}
    - name: tls
      secret:
        secretName: {{ . }}
    {{- end }}
    {{- with .Values.extraVolumes }}{{ toYaml . | nindent 4 }}{{ end }}
  {{- with .Values.nodeSelector }}
  nodeSelector: {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.tolerations }}
  tolerations: {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.affinity }}
  affinity: {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}
