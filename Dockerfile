# The server in a container: compiled in one stage, run in another that has nothing to compile with.
FROM node:24-slim AS build
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
# Not `npm ci`, which wants the optional parts of every platform in the lockfile; releases are as locked.
# Native parts come ready-made inside their packages, so that no install script has to run.
RUN npm install --no-save --no-audit --no-fund --ignore-scripts
COPY tsconfig.json tsconfig.build.json ./
COPY scripts scripts
COPY gen gen
COPY src src
COPY cli cli
RUN npm run build && npm prune --omit=dev --ignore-scripts

FROM node:24-slim
ENV NODE_ENV=production \
    MOLTENDB_HOST=0.0.0.0 \
    MOLTENDB_DB_PATH=/data
WORKDIR /app
COPY --from=build /app/node_modules node_modules
COPY --from=build /app/dist dist
COPY package.json LICENSE ./
COPY bin bin
COPY deploy/healthcheck.mjs deploy/healthcheck.mjs
# A volume that is new takes over this owner.
RUN mkdir -m 0700 /data /archive && chown node:node /data /archive
USER 1000:1000
VOLUME ["/data", "/archive"]
EXPOSE 1538
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=15s --timeout=5s --start-period=30s --retries=3 CMD ["node", "/app/deploy/healthcheck.mjs"]
ENTRYPOINT ["node", "/app/bin/molten.js"]
CMD ["serve"]
