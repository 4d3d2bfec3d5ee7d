// kernel   contract_sum_10x3x58x2x2x2x2_k40x2x2_f32: m 10, b 3, n1 58, i 2, n2 2, j 2, n3 2, k 40, n4 2, n5 2
// params   out float32[15660] written, x0 float32[1200], x1 float32[62640]
//          t0 = x0[m*120+b*40+k] * x1[b*20880+n1*9+n2*3+n3+k*522+n4*2+n5*6 | 0<=n2+n5*2<3, 0<=n3+n4*2<3]     {m b n1 n2 n3 k n4 n5}
//          t1 = add over k (t0)                                                         {m b n1 n2 n3 n4 n5}
//          t2 = add over n4 (where({0<=j+n3*-1+n4*-3+1<1, 0<=n3+n4*2<3}, t1, 0.0))      {m b n1 n2 j n3 n5}
//          t3 = add over n5 (where({0<=i+n2*-1+n5*-3+1<1, 0<=n2+n5*2<3}, t2, 0.0))      {m b n1 i n2 j n3}
//          out[m*1566+b*522+n1*9+i*6+n2*3+j*2+n3 | 0<=i*2+n2<3, 0<=j*2+n3<3] = t3       {m b n1 i n2 j n3}
//
// grid     m by 1, n3 by 16
// loop     m by 1, b by 1, n1 by 1, i by 1, n2 by 1, j by 1, k by 1, n4 by 1, n5 by 1
// vector   n3
#pragma OPENCL FP_CONTRACT OFF
#define kf_for _Pragma("clang loop vectorize(disable) unroll(disable)") for
__constant int16 kf_lanes_int = (int16)(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
static inline float16 __attribute__((overloadable)) kf_load_float32(__global const float *p, long at, long size, int first, int last) { if (first <= 0 && last >= 16) return vload16(0, p + at); if (at >= 0 && at + 16 <= size) return select((float16)(0), vload16(0, p + at), (kf_lanes_int >= first) & (kf_lanes_int < last)); float t[16]; kf_for (int l = 0; l < 16; l++) t[l] = first <= l && l < last ? p[at + l] : 0; return vload16(0, t); }
static inline void __attribute__((overloadable)) kf_store_float32(float16 v, __global float *p, int first, int last) { if (first <= 0 && last >= 16) { vstore16(v, 0, p); return; } float t[16]; vstore16(v, 0, t); kf_for (int l = max(first, 0); l < min(last, 16); l++) p[l] = t[l]; }
__attribute__((reqd_work_group_size(1, 1, 1)))
__kernel void contract_sum_10x3x58x2x2x2x2_k40x2x2_f32(__global float *restrict out, __global const float *restrict x0, __global const float *restrict x1) {
  const int m0 = (int)get_group_id(0) * 1;
  kf_for (int b1 = 0; b1 < 3; b1 += 1) {
    kf_for (int n1_2 = 0; n1_2 < 58; n1_2 += 1) {
      float acc0[128] __attribute__((aligned(64)));
      kf_for (int z = 0; z < 128; z += 16) {
        vstore16((float16)(0.0f), 0, acc0 + z);
      }
      kf_for (int n2_4 = 0; n2_4 < 2; n2_4 += 1) {
        float acc1[64] __attribute__((aligned(64)));
        kf_for (int z_1 = 0; z_1 < 2; z_1 += 1) {
          kf_for (int z_2 = 0; z_2 < 2; z_2 += 1) {
            kf_for (int z_3 = 0; z_3 < 16; z_3 += 16) {
              vstore16(vload16(0, acc0 + n2_4 * 64 + z_1 * 32 + z_2 * 16 + z_3), 0, acc1 + z_1 * 32 + z_2 * 16 + z_3);
            }
          }
        }
        kf_for (int k6 = 0; k6 < 40; k6 += 1) {
          kf_for (int n4_7 = 0; n4_7 < 2; n4_7 += 1) {
            const int last_4 = min((int)(2), (int)((n2_4 * -1 + 4) / 2));
            kf_for (int n5_8 = 0; n5_8 < last_4; n5_8 += 1) {
              float16 acc1_5 = vload16(0, acc1 + n4_7 * 32 + n5_8 * 16);
              const float x0_6 = x0[m0 * 120 + b1 * 40 + k6];
              const float16 x1_7 = (n2_4 + n5_8 * 2 < 3) ? kf_load_float32(x1, b1 * 20880 + n1_2 * 9 + n2_4 * 3 + k6 * 522 + n4_7 * 2 + n5_8 * 6, 62640, 0, min(2 - 0, 3 - (n4_7 * 2))) : (float16)(0.0f);
              acc1_5 = fma((float16)(x0_6), x1_7, acc1_5);
              vstore16(acc1_5, 0, acc1 + n4_7 * 32 + n5_8 * 16);
            }
          }
        }
        kf_for (int z_8 = 0; z_8 < 2; z_8 += 1) {
          kf_for (int z_9 = 0; z_9 < 2; z_9 += 1) {
            kf_for (int z_10 = 0; z_10 < 16; z_10 += 16) {
              vstore16(vload16(0, acc1 + z_8 * 32 + z_9 * 16 + z_10), 0, acc0 + n2_4 * 64 + z_8 * 32 + z_9 * 16 + z_10);
            }
          }
        }
      }
      float acc2[128] __attribute__((aligned(64)));
      kf_for (int z = 0; z < 128; z += 16) {
        vstore16((float16)(0.0f), 0, acc2 + z);
      }
      kf_for (int n2_4 = 0; n2_4 < 2; n2_4 += 1) {
        kf_for (int j5 = 0; j5 < 2; j5 += 1) {
          float acc3[32] __attribute__((aligned(64)));
          kf_for (int z_11 = 0; z_11 < 2; z_11 += 1) {
            kf_for (int z_12 = 0; z_12 < 16; z_12 += 16) {
              vstore16(vload16(0, acc2 + n2_4 * 64 + j5 * 32 + z_11 * 16 + z_12), 0, acc3 + z_11 * 16 + z_12);
            }
          }
          const int first_13 = clamp((int)((j5 + -12) / 3), (int)0, (int)(2 - 0 - 1));
          const int last_14 = max((int)(first_13 + 1), min((int)(2), (int)((j5 + 4) / 3)));
          const int last_15 = max((int)(first_13 + 1), min((int)(last_14), (int)((4) / 2)));
          kf_for (int n4_7 = first_13; n4_7 < last_15; n4_7 += 1) {
            const int last_16 = min((int)(2), (int)((n2_4 * -1 + 4) / 2));
            kf_for (int n5_8 = 0; n5_8 < last_16; n5_8 += 1) {
              float16 acc3_17 = vload16(0, acc3 + n5_8 * 16);
              const int16 valid_18 = (kf_lanes_int >= (j5 + n4_7 * -3 + 1) - 0) & (kf_lanes_int < min((j5 + n4_7 * -3 + 1) - -1, 3 - (n4_7 * 2)));
              const float16 acc_19 = vload16(0, acc0 + n2_4 * 64 + n4_7 * 32 + n5_8 * 16);
              const float16 where_20 = select((float16)(0.0f), acc_19, valid_18);
              acc3_17 = acc3_17 + where_20;
              vstore16(acc3_17, 0, acc3 + n5_8 * 16);
            }
          }
          kf_for (int z_21 = 0; z_21 < 2; z_21 += 1) {
            kf_for (int z_22 = 0; z_22 < 16; z_22 += 16) {
              vstore16(vload16(0, acc3 + z_21 * 16 + z_22), 0, acc2 + n2_4 * 64 + j5 * 32 + z_21 * 16 + z_22);
            }
          }
        }
      }
      kf_for (int i3 = 0; i3 < 2; i3 += 1) {
        kf_for (int n2_4 = 0; n2_4 < 2; n2_4 += 1) {
          kf_for (int j5 = 0; j5 < 2; j5 += 1) {
            float16 acc4_0 = (float16)(0.0f);
            const int first_23 = clamp((int)((i3 + n2_4 * -1 + 3) / 3), (int)0, (int)(2 - 0 - 1));
            const int last_24 = max((int)(first_23 + 1), min((int)(2), (int)((i3 + n2_4 * -1 + 4) / 3)));
            const int last_25 = max((int)(first_23 + 1), min((int)(last_24), (int)((n2_4 * -1 + 4) / 2)));
            kf_for (int n5_8 = first_23; n5_8 < last_25; n5_8 += 1) {
              const int valid_26 = i3 - n2_4 + n5_8 * -3 >= -1 && i3 - n2_4 + n5_8 * -3 < 0 && n2_4 + n5_8 * 2 < 3;
              const float16 acc_27 = vload16(0, acc2 + n2_4 * 64 + j5 * 32 + n5_8 * 16);
              const float16 where_28 = valid_26 ? acc_27 : (float16)(0.0f);
              acc4_0 = acc4_0 + where_28;
            }
            if (i3 * 2 + n2_4 < 3) kf_store_float32(acc4_0, out + m0 * 1566 + b1 * 522 + n1_2 * 9 + i3 * 6 + n2_4 * 3 + j5 * 2, 0, min(2 - 0, 3 - (j5 * 2)));
          }
        }
      }
    }
  }
}
