FROM python:3.12-slim AS build

WORKDIR /src
RUN python -m venv /opt/kspan
ENV PATH=/opt/kspan/bin:$PATH

# Dependencies first: their layer stays cached while the program changes.
COPY pyproject.toml constraints.txt LICENSE ./
RUN python -c "import tomllib; p = tomllib.load(open('pyproject.toml', 'rb'))['project']; o = p['optional-dependencies']; print(*p['dependencies'], *o['grpc'], *o['postgres'], sep='\n')" > /tmp/requirements.txt \
    && pip install --no-cache-dir --disable-pip-version-check --constraint constraints.txt --requirement /tmp/requirements.txt

COPY alembic.ini ./
COPY migrations migrations
COPY kspan kspan
RUN pip install --no-cache-dir --disable-pip-version-check --constraint constraints.txt --no-deps . \
    && python -m compileall -q /opt/kspan/lib


FROM python:3.12-slim

# A number as in deploy/kubernetes.yaml, because runAsNonRoot cannot check a name.
RUN groupadd --system --gid 65532 kspan \
    && useradd --system --uid 65532 --gid 65532 --no-create-home --home-dir /var/lib/kspan kspan \
    && install -d -o 65532 -g 65532 /var/lib/kspan

COPY --from=build /opt/kspan /opt/kspan
ENV PATH=/opt/kspan/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    XDG_STATE_HOME=/var/lib

USER 65532:65532
WORKDIR /var/lib/kspan
VOLUME /var/lib/kspan
EXPOSE 8474
STOPSIGNAL SIGTERM
ENTRYPOINT ["kspan"]
CMD ["run"]
