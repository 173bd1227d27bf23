# One image for both sides: `kindred coordinator` or `kindred client`. Node's slim image has glibc, for which the native parts
# (onnxruntime-node, libsql) are built. Alpine's libc does not work.
FROM node:22-slim AS build
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
RUN npm ci
COPY . .
RUN npm run build

FROM node:22-slim
WORKDIR /app
ENV NODE_ENV=production
COPY package.json package-lock.json .npmrc ./
RUN npm ci --omit=dev && npm cache clean --force
COPY --from=build /app/dist ./dist
COPY proto ./proto
COPY tasks ./tasks
COPY simulations/demo/model ./simulations/demo/model
# State and cache are volumes. The process needs no right to write elsewhere.
RUN mkdir -p /state /cache && chown node:node /state /cache
ENV KINDRED_CACHE=/cache
USER node
VOLUME ["/state", "/cache"]
ENTRYPOINT ["node", "/app/dist/kindred.js"]
CMD ["--help"]
