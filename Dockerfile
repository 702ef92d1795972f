# Runs with any base that has Python 3.11 or later at the same place in both stages. `make image` builds it without a
# container engine, on a Debian root file system (.ci/image).
ARG BUILD_BASE=docker.io/library/python:3.11-slim-bookworm
ARG BASE=docker.io/library/python:3.11-slim-bookworm

FROM ${BUILD_BASE} AS build

# pip stays outside of what is copied.
RUN python3 -m venv /opt/build && python3 -m venv --without-pip /opt/kspan
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /src

# Dependencies first: their layer stays cached while the program changes.
COPY pyproject.toml constraints.txt LICENSE README.md hatch_build.py ./
RUN python3 -c "import tomllib; p = tomllib.load(open('pyproject.toml', 'rb'))['project']; o = p['optional-dependencies']; print(*p['dependencies'], *o['grpc'], *o['postgres'], sep='\n')" > /tmp/requirements.txt \
    && /opt/build/bin/pip --python /opt/kspan/bin/python install --no-compile --only-binary :all: --constraint constraints.txt --requirement /tmp/requirements.txt

COPY alembic.ini ./
COPY migrations migrations
COPY kspan kspan
COPY deploy/image deploy/image
# Nobody can write bytecode later, and files may get other times on their way into a layer: the bytecode is not checked.
RUN /opt/build/bin/pip --python /opt/kspan/bin/python install --no-compile --constraint constraints.txt --no-deps . \
    && deploy/image/prune /opt/kspan \
    && /opt/kspan/bin/python -m compileall -q --invalidation-mode unchecked-hash /opt/kspan/lib \
    && /opt/kspan/bin/python -I deploy/image/check_imports.py

# A number as in deploy/kubernetes.yaml, because runAsNonRoot cannot check a name.
RUN echo 'kspan:x:65532:65532:kspan:/var/lib/kspan:/usr/sbin/nologin' >> /etc/passwd \
    && echo 'kspan:x:65532:' >> /etc/group \
    && mkdir -p /var/lib/kspan


# Only copies: this stage needs no shell.
FROM ${BASE}

ARG VERSION=""
ARG REVISION=""
LABEL org.opencontainers.image.title="kspan" \
      org.opencontainers.image.description="Kubernetes Events and objects become OpenTelemetry traces that show what caused what" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"

COPY --from=build /etc/passwd /etc/group /etc/
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build --chown=65532:65532 /var/lib/kspan /var/lib/kspan
COPY --from=build /opt/kspan /opt/kspan
ENV PATH=/opt/kspan/bin:/usr/local/bin:/usr/bin:/bin \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt \
    XDG_STATE_HOME=/var/lib

USER 65532:65532
WORKDIR /var/lib/kspan
VOLUME /var/lib/kspan
EXPOSE 8474
STOPSIGNAL SIGTERM
ENTRYPOINT ["kspan"]
CMD ["run"]
