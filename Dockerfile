# The gateway's image: one for all its processes; the verb of `pruuf` chooses.
ARG PYTHON=3.13-slim-bookworm

FROM python:${PYTHON} AS build
WORKDIR /src
# The lock also holds the tools of development, among them uv and hatchling; they stay in this stage.
COPY requirements.lock ./
RUN python -m venv /tools \
 && /tools/bin/pip install --no-cache-dir --require-hashes -r requirements.lock
# What runs is the project's own dependencies, at the pinned versions, their hashes verified.
COPY pyproject.toml README.md LICENSE ./
RUN python -m venv --without-pip /opt/pruuf \
 && /tools/bin/uv pip install --no-cache --compile-bytecode --python /opt/pruuf/bin/python \
      --constraints requirements.lock -r pyproject.toml
COPY . .
RUN /tools/bin/hatchling build -t wheel -d /dist \
 && /tools/bin/uv pip install --no-cache --no-deps --compile-bytecode \
      --python /opt/pruuf/bin/python /dist/*.whl

FROM python:${PYTHON}
RUN useradd --uid 10001 --no-create-home --home-dir /tmp --shell /usr/sbin/nologin pruuf \
 && install -d -o pruuf -g pruuf -m 0755 /var/lib/pruuf
COPY --from=build /opt/pruuf /opt/pruuf
ENV PATH=/opt/pruuf/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    HOME=/tmp \
    PRUUF_HOST=0.0.0.0 \
    PRUUF_DATA_DIR=/var/lib/pruuf
WORKDIR /var/lib/pruuf
USER 10001:10001
EXPOSE 8080 8501 9464 9900
ENTRYPOINT ["pruuf"]
CMD ["gateway"]
