// Original file: proto/kindred/v1/tasks.proto


export interface NoTask {
}

export interface NoTask__Output {
}
