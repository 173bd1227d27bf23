// Original file: proto/kindred/v1/work.proto


export interface ReceiveEnsembleResult {
}

export interface ReceiveEnsembleResult__Output {
}
