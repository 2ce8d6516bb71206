# Two images from one file, and a third for development:
#
#   docker build --target api  -t breezebuddy-api  .    # gunicorn: the HTTP API and the admin; no Pipecat
#   docker build --target pods -t breezebuddy-pods .    # manage.py runpools: Pipecat and the bots
#   docker build --target devtools -t breezebuddy-devtools .  # a sandbox in place of Daily, seeddemo, demo
#
# They run as user 10001 on a read-only root file system; /tmp and /var/lib/breezebuddy are the places they write to.
# No secret is needed to build them and none is in a layer. `make check-deploy` builds all and runs them.
# A bot of your own: FROM breezebuddy-pods, COPY it to /srv/bots, ENV VOICE_AGENT_BOT=your.module VOICE_AGENT_BOT_DIR=/srv/bots.
# With packages of its own: docs/deploy.md, Images.

# Debian's point release pins the system packages (and Python 3.11 with them); pin it by digest as well where you build.
FROM debian:12.11-slim AS base
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates python3 tini \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 10001 --user-group --no-create-home --home-dir /var/lib/breezebuddy --shell /usr/sbin/nologin breezebuddy \
    && install --directory --owner=breezebuddy --group=breezebuddy --mode=0750 /var/lib/breezebuddy
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    DATA_DIR=/var/lib/breezebuddy
WORKDIR /app

# --- packages: what requirements.txt and requirements-agent.txt name, in the versions and with the hashes of the lock ---
FROM base AS packages-api
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends python3-venv \
    && rm -rf /var/lib/apt/lists/* \
    && python3 -m venv /opt/uv \
    && /opt/uv/bin/pip install --no-cache-dir --disable-pip-version-check uv==0.13.9 \
    && python3 -m venv --without-pip /opt/venv
ENV UV_COMPILE_BYTECODE=1 UV_NO_CACHE=1 UV_PYTHON_DOWNLOADS=never VIRTUAL_ENV=/opt/venv
COPY requirements.txt requirements.lock ./
RUN /opt/uv/bin/uv pip install --require-hashes --requirements requirements.txt --constraints requirements.lock \
    && rm -f /opt/venv/.lock

# --build-arg PROVIDERS=1: with the packages of other providers as well. constraints.txt is for the packages of a bot.
FROM packages-api AS packages-pods
ARG PROVIDERS=
COPY requirements-agent.txt requirements-providers.lock ./
RUN /opt/uv/bin/uv pip install --require-hashes --requirements requirements.txt --requirements requirements-agent.txt \
    --constraints requirements.lock \
    && if [ -n "$PROVIDERS" ]; then /opt/uv/bin/uv pip install --require-hashes --requirements requirements-providers.lock; fi \
    && sed -e '/^ /d' -e '/^#/d' -e 's/ *\\$//' requirements.lock >/opt/venv/constraints.txt \
    && rm -f /opt/venv/.lock

FROM packages-api AS packages-devtools
COPY requirements-devtools.txt ./
RUN /opt/uv/bin/uv pip install --require-hashes --requirements requirements-devtools.txt --constraints requirements.lock \
    && rm -f /opt/venv/.lock

# --- the code, compiled once for all ---
FROM base AS code
COPY manage.py gunicorn.conf.py ./
COPY access access
COPY breezebuddy breezebuddy
COPY common common
COPY leads leads
COPY pools pools
RUN python3 -m compileall -q -j 0 --invalidation-mode unchecked-hash .

FROM code AS code-devtools
COPY devtools devtools
RUN python3 -m compileall -q -j 0 --invalidation-mode unchecked-hash devtools

# --- API ---
FROM base AS api
COPY --from=packages-api /opt/venv /opt/venv
COPY --from=code /app /app
USER 10001:10001
EXPOSE 8000
# SIGTERM: gunicorn answers what it has begun (graceful_timeout) and stops.
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/health', timeout=2)"]
ENTRYPOINT ["tini", "--"]
ENV LISTEN_ON=all PORT=8000
CMD ["gunicorn"]

# --- pods ---
# tini is PID 1 and reaps what agents leave behind. SIGTERM reaches runpools alone (no -g): it drains, calls go on.
FROM base AS pods
COPY --from=packages-pods /opt/venv /opt/venv
COPY --from=code /app /app
USER 10001:10001
EXPOSE 8001
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8001/health', timeout=2)"]
ENTRYPOINT ["tini", "--"]
CMD ["python", "manage.py", "runpools", "--health-port", "8001"]

# --- devtools: for development, a sandbox in place of Daily; not for production ---
FROM base AS devtools
COPY --from=packages-devtools /opt/venv /opt/venv
COPY --from=code-devtools /app /app
USER 10001:10001
EXPOSE 8002
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s \
    CMD ["python", "-c", "import socket; socket.create_connection(('127.0.0.1', 8002), 2)"]
ENTRYPOINT ["tini", "--"]
CMD ["python", "manage.py", "rundailysandbox", "--host", "0.0.0.0", "--allow-remote"]
