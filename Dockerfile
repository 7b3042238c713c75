# The service as a container image: docker build -t tailrace .

# By digest, as Docker's own record has it for this tag (docker-library/repo-info, repos/node/remote); both are changed together.
FROM node:24.21.0-bookworm-slim@sha256:0e0ff40c39bc087845bfb27465a0df4ea419520094bc35842ff83dd8cbe6f9b6 AS build
WORKDIR /app
COPY package.json package-lock.json ./
# The development dependencies' scripts fetch a second Node and Postgres binaries: the build needs neither.
RUN npm ci --ignore-scripts
COPY scripts/build.ts ./scripts/
COPY src ./src
RUN npm run build && npm prune --omit=dev --ignore-scripts

FROM node:24.21.0-bookworm-slim@sha256:0e0ff40c39bc087845bfb27465a0df4ea419520094bc35842ff83dd8cbe6f9b6
LABEL org.opencontainers.image.title="tailrace" \
      org.opencontainers.image.licenses="MIT"
ENV NODE_ENV=production \
    TAILRACE_DATA_DIR=/var/lib/tailrace \
    TAILRACE_METRICS_LISTEN=0.0.0.0:8376
WORKDIR /app
# The licence of Tailrace is /app/LICENSE; those of what is built in are in /app/dist/THIRD-PARTY-NOTICES.txt, of its dependencies in /app/node_modules.
COPY package.json LICENSE ./
COPY --from=build /app/node_modules ./node_modules
COPY --from=build /app/dist ./dist
RUN ln -s /app/dist/main.js /usr/local/bin/tailrace \
 && chmod +x dist/main.js \
 && install -d -m 0700 -o node -g node /var/lib/tailrace
USER node
# Without a volume here the change log goes with the container: "ack: auto" then keeps to "delivered".
VOLUME /var/lib/tailrace
EXPOSE 8376
HEALTHCHECK --interval=30s --timeout=10s --start-period=30s CMD tailrace status --url "http://127.0.0.1:${SEQUIN_METRICS_PORT:-8376}"
# The service handles SIGTERM itself: it settles what is in flight, confirms to Postgres, and ends with 0.
ENTRYPOINT ["tailrace"]
CMD ["run"]
