# One image for both sides: `kindred coordinator` or `kindred client`; any other command runs too (`docker run --rm kindred demo`).
# Node's slim image has glibc, for which the native parts (onnxruntime-node, libsql, tokenizers) are built. Alpine's libc does not work.
FROM node:22-slim AS build
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
RUN npm ci
COPY . .
# What serves tests, benchmarks and the compiler is not needed to run.
RUN npm run build && rm -rf dist/test dist/simulations/benchmarks dist/.tsbuildinfo && find tasks -name '*.ts' -delete

FROM node:22-slim
WORKDIR /app
ENV NODE_ENV=production
COPY package.json package-lock.json .npmrc ./
RUN npm ci --omit=dev && npm cache clean --force
COPY --from=build /app/dist ./dist
COPY --from=build /app/tasks ./tasks
COPY proto ./proto
COPY simulations/demo/model ./simulations/demo/model
# The process writes here and nowhere else. The folders are open as /tmp is: `--user` may name anybody.
RUN mkdir -p /state /cache /work && chown node:node /state /cache /work && chmod 1777 /state /cache /work
ENV KINDRED_CACHE=/cache
USER node
VOLUME ["/state", "/cache"]
# Relative paths of commands start here: the demo writes to /work/runs/demo.
WORKDIR /work
ENTRYPOINT ["node", "/app/dist/kindred.js"]
CMD ["--help"]
