package knocksim
import ("testing";"net/http";"io";"time";"golang.org/x/sync/errgroup";"context";"net/url";"strconv")
func TestTmp(t *testing.T){
 s,_:=New(Options{Prospects:40000,Events:1000000})
 ctx,c:=context.WithCancel(t.Context()); u:=make(chan string,1)
 go Serve(ctx,"127.0.0.1:0",s,func(x string){u<-x}); base:=<-u
 cl:=&http.Client{Transport:&http.Transport{MaxIdleConnsPerHost:16}}
 t0:=time.Now(); var g errgroup.Group; g.SetLimit(8)
 for i:=range 40000 { g.Go(func() error { v:=s.world.visible(i); for o:=0;o==0||o<v;o+=100 { q:=base+"/prospect/"+strconv.Itoa(s.world.id(i))+"/events?first=100"; if o>0 {q+="&after="+url.QueryEscape(string(appendCursor(nil,o)))}
  r,_:=http.NewRequest("GET",q,nil); r.Header.Set("x-api-key",DefaultAPIKey); resp,err:=cl.Do(r); if err!=nil{return err}; io.Copy(io.Discard,resp.Body); resp.Body.Close()}; return nil})}
 if err:=g.Wait();err!=nil{t.Fatal(err)}
 t.Log(time.Since(t0), s.Stats()); c()
}
