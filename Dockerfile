# The server, and with `--target dashboard` its page, as unprivileged users. What the server keeps lies in the volume
# /var/lib/shoal.
FROM python:3.11-slim-bookworm AS build
WORKDIR /src
COPY pyproject.toml constraints.txt README.md ./
COPY client client
COPY dashboard dashboard
COPY server server
RUN python -m venv /opt/shoal \
    && /opt/shoal/bin/pip install --no-cache-dir --constraint constraints.txt '.[server]'

FROM build AS build-dashboard
RUN python -m venv /opt/dashboard \
    && /opt/dashboard/bin/pip install --no-cache-dir --constraint constraints.txt '.[dashboard]'

FROM python:3.11-slim-bookworm AS dashboard
RUN useradd --system --uid 10002 --home-dir /nonexistent shoal
COPY --from=build-dashboard /opt/dashboard /opt/dashboard
ENV PATH=/opt/dashboard/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    NICEGUI_STORAGE_PATH=/tmp/nicegui \
    SHOAL_SERVER=server:50051
USER shoal
WORKDIR /tmp
EXPOSE 8080
STOPSIGNAL SIGTERM
# The icon, since a page would be built anew for each check.
HEALTHCHECK --interval=5s --timeout=3s --start-period=60s --retries=3 \
    CMD ["python", "-c", "from http.client import HTTPConnection; page = HTTPConnection('127.0.0.1', 8080, timeout=2); \
        page.request('GET', '/favicon.ico'); raise SystemExit(page.getresponse().status != 200)"]
ENTRYPOINT ["shoal-dashboard", "--host", "0.0.0.0"]

FROM python:3.11-slim-bookworm AS server
RUN useradd --system --uid 10001 --home-dir /var/lib/shoal --create-home shoal
COPY --from=build /opt/shoal /opt/shoal
ENV PATH=/opt/shoal/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    NUMBA_CACHE_DIR=/var/lib/shoal/kernels \
    SHOAL_HOST=0.0.0.0 \
    SHOAL_PORT=50051
USER shoal
VOLUME /var/lib/shoal
EXPOSE 50051
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=5s --timeout=3s --start-period=180s --retries=3 \
    CMD ["python", "-m", "shoal_server.rpc.healthcheck"]
ENTRYPOINT ["shoal-server"]
